"""Audio to log-Mel features, and augmentation of both."""

"""Audio to log-Mel features, and their augmentation."""

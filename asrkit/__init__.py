"""asrkit: staged recipes that take a speech corpus from audio to word error rate."""

__version__ = "0.1.0"

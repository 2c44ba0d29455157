"""Losses, schedule, batches, checkpoints, the training loop."""

"""Audio to text with a trained model."""

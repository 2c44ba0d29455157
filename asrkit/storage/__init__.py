"""Files that appear whole or not at all, fingerprints of content, tensors without pickle."""

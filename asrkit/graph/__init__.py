"""H, L, G and their composition with k2."""

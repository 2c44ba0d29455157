"""Decoding: posteriors, lattices, n-best lists, transcripts."""

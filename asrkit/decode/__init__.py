"""Posteriors, lattices, transcripts."""

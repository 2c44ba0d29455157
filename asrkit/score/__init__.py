"""Alignment, error counts with their intervals, listings, and reports made from records."""

"""Alignment, error rates with confidence, reports."""

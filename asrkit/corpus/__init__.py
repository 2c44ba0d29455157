"""Corpora as lhotse manifests: build, validate, count, compare splits."""

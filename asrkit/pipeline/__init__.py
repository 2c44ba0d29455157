"""Stages: what they read, write and depend on; locks; status; resume."""

"""One file per stage: its declaration, and what it runs."""

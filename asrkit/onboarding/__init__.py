"""Before the first run: a new recipe for a corpus, what the corpus holds, what the machine can do."""

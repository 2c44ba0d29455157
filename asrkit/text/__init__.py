"""Units, words and lexicon."""

"""n-gram models as dictionaries, for tests of definitions."""

from typing import Dict, Tuple

from asrkit.lm.model import NgramModel

Entries = Dict[Tuple[str, ...], Tuple[float, float]]


def by_words(model: NgramModel) -> Entries:
    """(log10 probability, log10 back-off) of each n-gram."""
    entries: Entries = {}
    for table in model.tables:
        for row, probability, backoff in zip(table.words, table.log_probability, table.log_backoff):
            entries[tuple(model.vocabulary[word] for word in row)] = (float(probability), float(backoff))
    return entries


def probability(entries: Entries, words: Tuple[str, ...]) -> float:
    """Of the last word after the others, by the definition of back-off."""
    if words in entries:
        return float(10 ** entries[words][0])
    backoff = entries[words[:-1]][1] if words[:-1] in entries else 0.0
    return float(10**backoff) * probability(entries, words[1:])

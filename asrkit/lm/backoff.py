"""Probabilities by back-off, and the back-off weights that make them sum to one."""

from typing import List

import numpy as np

from asrkit.lm.model import NgramIndex, NgramModel, NgramTable

_LEAST_MASS = 1e-10  # that a context leaves to words after it that aren't listed; rounding may give less


def index_ngrams(model: NgramModel) -> NgramIndex:
    """The rows of all the model's n-grams."""
    index = NgramIndex(len(model.vocabulary))
    for table in model.tables[1:]:
        index.add(index.locate(table.words[:, :-1]), table.words[:, -1])
    return index


def log_probabilities(model: NgramModel, index: NgramIndex, words: np.ndarray) -> np.ndarray:
    """log10 probabilities (n-grams,) of the last words after the others, of ids `words` (n-grams, length).

    The length is at most the model's order; a history that is shorter has -1 before it.
    """
    found: np.ndarray = model.tables[0].log_probability[words[:, -1]]
    for length in range(2, words.shape[1] + 1):
        context = index.locate(words[:, -length:-1])
        row = index.locate(words[:, -length:])
        backoff = np.where(context >= 0, model.tables[length - 2].log_backoff[context], 0.0)
        found = np.where(row >= 0, model.tables[length - 1].log_probability[row], found + backoff)
    return found


def model_of(vocabulary: List[str], words: List[np.ndarray], log_probability: List[np.ndarray]) -> NgramModel:
    """The model with these n-grams, an entry an order, and the back-off weights that they ask for.

    gamma(c) = (1 - sum_w p(w | c)) / (1 - sum_w p(w | c without its first word)), over the words w
    that are listed after c; 1 where none is. Every context must be listed itself.
    """
    tables = [NgramTable(rows, p, np.zeros(len(p))) for rows, p in zip(words, log_probability)]
    model = NgramModel(vocabulary, tables)
    index = NgramIndex(len(vocabulary))
    for below, table in zip(tables, tables[1:]):
        context = index.locate(table.words[:, :-1])
        shorter = log_probabilities(model, index, table.words[:, 1:])
        below.log_backoff[:] = np.log10(mass_left(context, table.log_probability, len(below.words)))
        below.log_backoff[:] -= np.log10(mass_left(context, shorter, len(below.words)))
        index.add(context, table.words[:, -1])
    return model


def mass_left(context: np.ndarray, log_probability: np.ndarray, contexts: int) -> np.ndarray:
    """One less the probabilities after each context: (contexts,)."""
    return np.maximum(1.0 - np.bincount(context, 10.0**log_probability, contexts), _LEAST_MASS)

"""Back-off n-gram models as arrays: lookup, probabilities, and the weights that make these sum to one."""

import dataclasses
from typing import List, Union

import numpy as np

_LEAST_MASS = 1e-10  # left for unlisted words after a context; rounding may leave less


@dataclasses.dataclass(frozen=True)
class NgramTable:
    """The n-grams of one order; logarithms are to base 10."""

    words: np.ndarray  # (n-grams, order) int32, indices into the vocabulary
    log_probability: np.ndarray  # (n-grams,) float64
    log_backoff: np.ndarray  # (n-grams,) float64; zeros in the highest order


@dataclasses.dataclass(frozen=True)
class NgramModel:
    """A back-off model; `tables` holds orders 1, 2, ... and row i of order 1 is word i."""

    vocabulary: List[str]
    tables: List[NgramTable]

    @property
    def counts(self) -> List[int]:
        """The number of n-grams of each order."""
        return [len(table.words) for table in self.tables]


def pair_keys(first: np.ndarray, second: Union[int, np.ndarray], size: int) -> np.ndarray:
    """Pairs of numbers as one int64 each (pair,), in the order of the pairs; second numbers are below `size`.

    The first numbers are widened here: NumPy 1 keeps an int32 array times any scalar in int32, and wraps.
    """
    return first.astype(np.int64) * size + second


class NgramIndex:
    """Finds the rows of n-grams; orders are added from 2 upwards."""

    def __init__(self, vocabulary_size: int) -> None:
        self._size = vocabulary_size
        self._keys: List[np.ndarray] = []  # sorted; key = (row of the context) * vocabulary + last word
        self._rows: List[np.ndarray] = []

    def locate(self, words: np.ndarray) -> np.ndarray:
        """Rows (n-grams,) of `words` (n-grams, order); -1 for an n-gram that isn't there."""
        rows = words[:, 0].astype(np.int64)
        for keys, found, last in zip(self._keys, self._rows, words.T[1:]):
            if not len(keys):
                return np.full(len(rows), -1)
            wanted = pair_keys(rows, last, self._size)
            place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            rows = np.where((keys[place] == wanted) & (rows >= 0), found[place], -1)
        return rows

    def add(self, context: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Add the next order, from the rows of the contexts and the last words, both (n-grams,).

        Returns the rows that repeat the n-gram of an earlier row.
        """
        keys = pair_keys(context, last, self._size)
        rows = np.argsort(keys, kind="stable")
        keys = keys[rows]
        self._keys.append(keys)
        self._rows.append(rows)
        repeated: np.ndarray = rows[1:][keys[1:] == keys[:-1]]
        return repeated


def index_ngrams(model: NgramModel) -> NgramIndex:
    """An index of all the model's n-grams."""
    index = NgramIndex(len(model.vocabulary))
    for table in model.tables[1:]:
        index.add(index.locate(table.words[:, :-1]), table.words[:, -1])
    return index


def log_probabilities(model: NgramModel, index: NgramIndex, words: np.ndarray) -> np.ndarray:
    """log10 probabilities (n-grams,) of the last words of `words` (n-grams, length) after the words before.

    The length is at most the model's order; shorter histories are padded with -1 in front.
    """
    found: np.ndarray = model.tables[0].log_probability[words[:, -1]]
    for length in range(2, words.shape[1] + 1):
        context = index.locate(words[:, -length:-1])
        row = index.locate(words[:, -length:])
        backoff = np.where(context >= 0, model.tables[length - 2].log_backoff[context], 0.0)
        found = np.where(row >= 0, model.tables[length - 1].log_probability[row], found + backoff)
    return found


def make_backoff_model(
    vocabulary: List[str], words: List[np.ndarray], log_probability: List[np.ndarray]
) -> NgramModel:
    """The model with these n-grams, one entry per order, and the back-off weights that make it sum to one.

    gamma(c) = (1 - sum_w p(w | c)) / (1 - sum_w p(w | c without its first word)), over the words w
    listed after c; 1 if none is. Every context must be listed itself.
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
    """1 minus the sum of the probabilities after each context: (contexts,)."""
    return np.maximum(1.0 - np.bincount(context, 10.0**log_probability, contexts), _LEAST_MASS)

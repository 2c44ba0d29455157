"""n-gram models with back-off, as arrays."""

import dataclasses
from typing import List

import numpy as np

from asrkit.lm.pairs import pair_keys


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
        """How many n-grams each order has."""
        return [len(table.words) for table in self.tables]


class NgramIndex:
    """Finds the rows of n-grams; orders are added from 2 upwards."""

    def __init__(self, vocabulary_size: int) -> None:
        self._size = vocabulary_size
        self._keys: List[np.ndarray] = []  # sorted; key = (row of the context) * vocabulary + last word
        self._rows: List[np.ndarray] = []

    def locate(self, words: np.ndarray) -> np.ndarray:
        """Rows (n-grams,) of `words` (n-grams, order); -1 where there is no such n-gram."""
        rows = words[:, 0].astype(np.int64)
        for column, (keys, found) in enumerate(zip(self._keys, self._rows), start=1):
            if column == words.shape[1]:
                break
            wanted = pair_keys(rows, words[:, column], self._size)
            place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
            known = (keys[place] == wanted) if len(keys) else np.zeros(len(wanted), dtype=bool)
            rows = np.where(known & (rows >= 0), found[place] if len(keys) else -1, -1)
        return rows

    def add(self, context: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Add the next order from the rows of the contexts and the last words, both (n-grams,).

        Gives the rows whose n-gram stands in an earlier row too.
        """
        keys = pair_keys(context, last, self._size)
        rows = np.argsort(keys, kind="stable")
        keys = keys[rows]
        self._keys.append(keys)
        self._rows.append(rows)
        repeated: np.ndarray = rows[1:][keys[1:] == keys[:-1]]
        return repeated

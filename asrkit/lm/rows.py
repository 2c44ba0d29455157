"""Rows of text put together from words and numbers, many at once."""

import dataclasses
from typing import Iterable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Fields:
    """One field of each row; any byte stands behind it, where a separator will."""

    text: np.ndarray  # (bytes,) uint8
    starts: np.ndarray  # (rows,) int64
    lengths: np.ndarray  # (rows,) int64, with the byte behind

    def take(self, rows: np.ndarray) -> "Fields":
        """The fields of other rows, by their numbers (rows,)."""
        return Fields(self.text, self.starts[rows], self.lengths[rows])


def spelt(words: Iterable[str]) -> Fields:
    """Words in UTF-8."""
    encoded = [f"{word} ".encode() for word in words]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    return Fields(np.frombuffer(b"".join(encoded), dtype=np.uint8), np.cumsum(lengths) - lengths, lengths)


def with_seven_decimals(values: np.ndarray) -> Fields:
    """Numbers (rows,) as Python's "%.7f" writes them, but none as -0.0000000.

    Raises FloatingPointError for what isn't finite.
    """
    with np.errstate(invalid="raise"):
        scaled = np.rint(values * 1e7).astype(np.int64)
    left = np.abs(scaled)
    digits = max(8, len(str(left.max(initial=0))))
    lengths = 10 + (left[:, None] >= 10 ** np.arange(8, digits)).sum(axis=1) + (scaled < 0)
    text = np.full((len(values), digits + 3), ord("."), dtype=np.uint8)  # a sign, digits, a point, one more
    for column in [*range(digits + 1, digits - 6, -1), *range(digits - 7, 0, -1)]:
        rest = left // 10
        text[:, column] = ord("0") + left - 10 * rest
        left = rest
    starts = np.arange(1, len(values) + 1) * text.shape[1] - lengths
    text.ravel()[starts[scaled < 0]] = ord("-")
    return Fields(text.ravel(), starts, lengths)


def joined_rows(columns: Sequence[Fields], separators: bytes) -> np.ndarray:
    """The text of rows (bytes,) uint8: their fields, each with its column's separator behind it."""
    text = np.concatenate([column.text for column in columns])
    before = np.cumsum([0, *(len(column.text) for column in columns)])
    starts = np.stack([column.starts + shift for column, shift in zip(columns, before)], axis=1).ravel()
    lengths = np.stack([column.lengths for column in columns], axis=1).ravel()
    ends = np.cumsum(lengths)
    found: np.ndarray = text[np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1])]
    found.reshape(-1)[ends - 1] = np.tile(np.frombuffer(separators, dtype=np.uint8), len(columns[0].starts))
    return found

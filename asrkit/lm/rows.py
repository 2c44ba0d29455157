"""Rows of text put together from words and numbers, many at once.

A column is (rows,) of bytes of one width, each text filled up with a byte that no UTF-8 holds.
"""

from typing import Iterable, List, Sequence, Union

import numpy as np

_FILLER = b"\xff"
_SHORT = 32  # bytes that a word's place in a table has; rows with a longer one are put together by hand
_DIGITS = [np.array([b"%0*d" % (n, i) for i in range(10**n)]).view(f"V{n}") for n in (3, 4)]


def _column(texts: Sequence[bytes]) -> np.ndarray:
    width = max(map(len, texts))
    return np.frombuffer(b"".join(text.ljust(width, _FILLER) for text in texts), dtype=f"V{width}")


class Spellings:
    """Words in UTF-8."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = [word.encode() for word in words]
        self._lengths = np.fromiter(map(len, self._words), np.int32, len(self._words))
        self._short = _column([word[:_SHORT] for word in self._words])

    def take(self, ids: np.ndarray) -> np.ndarray:
        """The column of the words of these numbers (rows,)."""
        if self._lengths.take(ids).max() > _SHORT:
            return _column([self._words[row] for row in ids.tolist()])
        return self._short.take(ids)


def with_seven_decimals(values: np.ndarray) -> List[np.ndarray]:
    """Columns that together are numbers (rows,) as Python's "%.7f" writes them, but none as -0.0000000.

    Raises FloatingPointError for what isn't finite.
    """
    with np.errstate(invalid="raise"):
        scaled = np.rint(values * 1e7).astype(np.int64)
    left = np.abs(scaled)
    thousandths = left // 10**4
    whole = thousandths // 10**3
    heads = 2 * whole + (scaled < 0)
    found = np.unique(heads)  # few: of log10 probabilities
    column = _column([b"-%d." % (head >> 1) if head & 1 else b"%d." % (head >> 1) for head in found.tolist()])
    return [
        column.take(np.searchsorted(found, heads)),
        _DIGITS[0].take(thousandths - 10**3 * whole),
        _DIGITS[1].take(left - 10**4 * thousandths),
    ]


def joined_rows(columns: Sequence[Union[np.ndarray, bytes]]) -> bytes:
    """The text of rows: their columns side by side; bytes are the same in each row. The first is a column."""
    parts = [np.frombuffer(part, f"V{len(part)}") if isinstance(part, bytes) else part for part in columns]
    rows = np.empty(len(parts[0]), dtype=[(str(place), part.dtype) for place, part in enumerate(parts)])
    for place, part in enumerate(parts):
        rows[str(place)] = part
    return rows.tobytes().translate(None, _FILLER)

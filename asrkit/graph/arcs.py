"""Arcs of a graph under construction, by columns; how many of them k2 can number."""

import dataclasses
from typing import Iterable, Sequence, Tuple

import numpy as np

from asrkit.errors import UserError

MOST = 2**31 - 1  # k2 numbers states and arcs by 32 bits
NO_WORD = 0  # epsilon
END = -1  # k2's unit, and word, of arcs to the final state


@dataclasses.dataclass(frozen=True)
class Arcs:
    """Arcs, an entry each in columns of equal length."""

    source: np.ndarray  # (arc,) int32, as the next three
    target: np.ndarray
    unit: np.ndarray
    word: np.ndarray  # index into words.txt; NO_WORD for none
    score: np.ndarray  # (arc,) float32, natural logarithm

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, chosen: np.ndarray) -> "Arcs":
        return Arcs(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))


def join_arcs(parts: Sequence[Arcs]) -> Arcs:
    """All arcs of some parts, sorted by their sources."""
    names = [field.name for field in dataclasses.fields(Arcs)]
    order = np.argsort(np.concatenate([part.source for part in parts]), kind="stable")
    return Arcs(*(np.concatenate([getattr(part, name) for part in parts])[order] for name in names))


def count_up(counts: np.ndarray) -> np.ndarray:
    """0 to n - 1 for each n of `counts`, one after the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def refuse_overflow(graph: str, states: int, arcs: int) -> None:
    """Refuse a graph before it is made whose states and arcs k2 can't number.

    A search's product of states and utterances needs no check: utterances are searched one at a time.
    """
    if max(states, arcs) > MOST:
        raise UserError(
            f"{graph} would have {states:,} states and {arcs:,} arcs",
            expected=f"at most {MOST:,}: k2 numbers them by 32 bits",
            where="stage graph",
            todo="a smaller language model: a lower lm.order, fewer n-grams, or fewer words; "
            "graph.topology: modified makes fewer arcs of the same model",
        )


def make_table(graph: str, counts: np.ndarray, parts: Iterable[Arcs]) -> Tuple[np.ndarray, np.ndarray]:
    """k2's table (arc, [source, target, unit, score's bits]), sorted by source, and the arcs' words (arc,).

    `counts` (state,) of arcs leave each state; each of the parts is sorted by source. Raises UserError for
    too many, before it makes anything; ValueError where parts and counts differ, so that a row would be left
    as memory happened to be.
    """
    arcs = int(counts.sum())
    refuse_overflow(graph, len(counts), arcs)
    table, words = np.empty((arcs, 4), dtype=np.int32), np.empty(arcs, dtype=np.int32)
    ends = np.cumsum(counts)
    free = ends - counts  # the next row of each state
    for part in parts:
        first = int(part.source[0]) if len(part) else 0
        count = np.bincount(part.source - first)
        next_row = free[first : first + len(count)]
        rows = np.repeat(next_row, count) + count_up(count)
        next_row += count
        if np.any(next_row > ends[first : first + len(count)]):
            raise ValueError(f"{graph}: more arcs than were counted leave a state")
        for column, values in enumerate((part.source, part.target, part.unit, part.score.view(np.int32))):
            table[rows, column] = values
        words[rows] = part.word
    if np.any(free != ends):
        raise ValueError(f"{graph}: fewer arcs than were counted leave a state")
    return table, words

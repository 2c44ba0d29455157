"""Arcs of a graph under construction, as columns, and k2's table of them."""

import dataclasses
from typing import Any, Iterable, Sequence, Tuple, Union

import numpy as np

from asrkit.config.symbols import NO_WORD
from asrkit.errors import UserError

MOST = 2**31 - 1  # k2 numbers states and arcs with 32 bits
FINAL = -1  # k2's label, of units and of words, on arcs to the final state


@dataclasses.dataclass(frozen=True)
class Arcs:
    """Arcs as columns of equal length."""

    source: np.ndarray  # (arc,) int32, like the next three
    target: np.ndarray
    unit: np.ndarray
    word: np.ndarray  # index into words.txt; NO_WORD: none
    score: np.ndarray  # (arc,) float32, natural logarithm

    def __len__(self) -> int:
        return len(self.source)

    def take(self, which: Any = slice(None), **columns: np.ndarray) -> "Arcs":
        """The arcs `which`, by indices or a mask, with `columns` replaced."""
        kept = {field.name: getattr(self, field.name)[which] for field in dataclasses.fields(self)}
        return Arcs(**{**kept, **columns})


def make_arcs(
    source: np.ndarray,
    target: np.ndarray,
    unit: Union[int, np.ndarray],
    word: Union[int, np.ndarray] = NO_WORD,
    score: Union[float, np.ndarray] = 0.0,
) -> Arcs:
    """Arcs between states (arc,); a single unit, word or score is that of all arcs."""
    typed = ((unit, np.int32), (word, np.int32), (score, np.float32))
    return Arcs(source, target, *(np.broadcast_to(np.asarray(x, kind), source.shape) for x, kind in typed))


def join_arcs(parts: Sequence[Arcs]) -> Arcs:
    """All arcs of the parts, stably sorted by source."""
    names = [field.name for field in dataclasses.fields(Arcs)]
    order = np.argsort(np.concatenate([part.source for part in parts]), kind="stable")
    return Arcs(*(np.concatenate([getattr(part, name) for part in parts])[order] for name in names))


def count_up(counts: np.ndarray) -> np.ndarray:
    """0 to n - 1 for each n of `counts`, concatenated: [2, 3] gives [0, 1, 0, 1, 2]."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def refuse_overflow(graph: str, states: int, arcs: int = 0) -> None:
    """Raise UserError for a graph that k2 can't number, before it is made.

    The search needs no such check: it takes one utterance at a time.
    """
    if max(states, arcs) > MOST:
        found = f"{graph} would have {states:,} states and {arcs:,} arcs"
        todo = "lower lm.order, set lm.prune, or graph.topology: modified, which makes fewer arcs"
        raise UserError(found, f"at most {MOST:,}: k2 numbers them with 32 bits", "stage graph", todo)


def make_table(graph: str, counts: np.ndarray, parts: Iterable[Arcs]) -> Tuple[np.ndarray, np.ndarray]:
    """k2's table (arc, [source, target, unit, score bits]), sorted by source, and the arcs' words (arc,).

    `counts` (state,) is the number of arcs that leave each state; each part is sorted by source. Raises
    UserError for too many arcs, before anything is allocated, and ValueError if parts and counts differ,
    which would leave rows uninitialised.
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

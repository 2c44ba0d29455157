"""n-best lists: hypotheses of an utterance with their log scores, and the weights chosen for these on dev.

words             acoustic      lm   words      total at lm_scale 0.5, word_bonus 1
["GO", "NOW"]        -10.0    -4.0       2      -10.0 + 0.5 * -4.0 + 1 * 2 = -10.0   <- best
["GO"]                -9.5    -5.0       1       -9.5 + 0.5 * -5.0 + 1 * 1 = -11.0
"""

import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Sequence, Tuple

import kaldialign
import numpy as np
import torch

from asrkit.decode.shards import read_shard, write_shard

COLUMNS = ("acoustic", "lm", "words")  # of the scores; the last is the number of words
# How the hypothesis was obtained, as files have it and as stage decode logs it. The last two have no lattice.
OUTCOMES = {
    "lattice": "lattice at the set beams",
    "wider_beam": "empty lattice, retried with beam {wider:g}",
    "narrower_beam": "out of memory, retried with beam {narrower:g}",
    "partial": "no path to a final state, trailing frames dropped",
    "unrescored": "not rescored, because the larger language model allows no path",
    "greedy": "no lattice, fell back to greedy",
    "empty": "no lattice and an empty greedy transcript",
}
# As C++, torch (also for k2) and CUDA word it; an "illegal memory access" is not a lack of memory
OUT_OF_MEMORY = re.compile(
    r"out of memory|not enough memory|can(?:no|')t allocate memory|bad_alloc|ALLOC_FAILED", re.IGNORECASE
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of k2, torch, NumPy or Python means that memory ran out."""
    said = isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error)) is not None
    return said or isinstance(error, MemoryError)


class TimedWord(NamedTuple):
    """First and last frame of a word's units on the best path, and its posterior probability."""

    first: int
    last: int
    confidence: float


@dataclasses.dataclass(frozen=True)
class NBest:
    """Hypotheses of one utterance.

    `scores` (hypothesis, column) are natural logarithms: acoustic, language model, then the number of words,
    then columns of rescoring models. `timed` are the words of the only hypothesis, if it comes from a lattice
    and the weights are chosen.
    """

    words: List[List[str]]
    scores: np.ndarray
    outcome: str  # of OUTCOMES
    timed: Tuple[TimedWord, ...] = ()

    def totals(self, points: np.ndarray) -> np.ndarray:
        """Weighted sums of scores (hypothesis, point) at points (point, weight).

        The weights belong to the columns after the acoustic one. Terms are added in a fixed order, which a
        matrix product doesn't guarantee, so that equal totals are equal to the last bit.
        """
        totals = np.repeat(self.scores[:, :1], len(points), axis=1)
        for column, weights in zip(self.scores[:, 1:].T, points.T):
            totals += column[:, None] * weights
        return totals

    def best(self, point: Sequence[float]) -> List[str]:
        """Words of the hypothesis with the highest total at one point; of equal ones the first."""
        return self.words[int(self.totals(np.array([point])).argmax())]

    def with_column(self, scores: np.ndarray) -> "NBest":
        """Append a column of log scores (hypothesis,)."""
        return dataclasses.replace(self, scores=np.column_stack([self.scores, scores]))


def make_points(grid: Iterable[Sequence[float]]) -> np.ndarray:
    """All combinations (point, weight) of the values of each weight."""
    return np.array(list(itertools.product(*grid)))


def write_lists(file: Path, lists: Mapping[str, NBest], about: Dict[str, Any]) -> None:
    """Write n-best lists by name, and metadata `about` them, as one shard."""
    rows = {
        key: {"outcome": nbest.outcome, "words": nbest.words, "timed": nbest.timed}
        for key, nbest in lists.items()
    }
    scores = {key: torch.from_numpy(nbest.scores) for key, nbest in lists.items()}
    write_shard(file, scores, {**about, "rows": rows})


def read_lists(file: Path) -> Tuple[Dict[str, NBest], Dict[str, Any]]:
    """Read what write_lists wrote and make_shards verified."""
    scores, about = read_shard(file, check=False)
    rows = about.pop("rows")
    lists = {}
    for key, each in scores.items():
        timed = tuple(TimedWord(*word) for word in rows[key]["timed"])
        lists[key] = NBest(rows[key]["words"], each.numpy(), rows[key]["outcome"], timed)
    return lists, about


def choose_weights(
    references: Mapping[str, Sequence[str]],
    lists: Mapping[str, NBest],
    grid: Mapping[str, Sequence[float]],
) -> Tuple[Dict[str, float], List[Dict[str, Any]]]:
    """The weights of `grid` ({name: values}) with the fewest word errors, and the errors at every point.

    Of equal points, the one in the middle: the median of the first weight, then of the next.
    """
    points = make_points(grid.values())
    errors = np.zeros(len(points), dtype=np.int64)
    for utterance, nbest in lists.items():
        each = np.array([word_errors(references[utterance], words) for words in nbest.words])
        errors += each[nbest.totals(points).argmax(axis=0)]
    best = points[errors == errors.min()]
    for column in range(points.shape[1]):
        values = sorted(set(best[:, column].tolist()))
        best = best[best[:, column] == values[len(values) // 2]]
    tried = [
        {**dict(zip(grid, point)), "errors": count} for point, count in zip(points.tolist(), errors.tolist())
    ]
    return dict(zip(grid, best[0].tolist())), tried


def word_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Insertions, deletions and substitutions of the best alignment."""
    return int(kaldialign.edit_distance(reference, hypothesis)["total"])

"""n-best lists: word sequences of an utterance, each with a row of log scores, whose weights are chosen."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Sequence, Tuple

import kaldialign
import numpy as np
import torch

from asrkit.decode.shards import read_shard, write_shard

COLUMNS = ("acoustic", "lm", "words")  # of the scores; the last is the number of words


class TimedWord(NamedTuple):
    """Where a word of the best path is: first and last frame of its units; and its posterior."""

    first: int
    last: int
    confidence: float


@dataclasses.dataclass(frozen=True)
class NBest:
    """Hypotheses of one utterance.

    `scores` (hypothesis, column) hold natural logarithms: acoustic, language model, then the number
    of words, then what further columns were added; `way` is the step of the search's ladder; `timed`
    are the words of the only hypothesis, where there is a lattice and its weights are chosen.
    """

    words: List[List[str]]
    scores: np.ndarray
    way: str
    timed: Tuple[TimedWord, ...] = ()

    def totals(self, points: np.ndarray) -> np.ndarray:
        """Weighed scores (hypothesis, point) at points (point, weight).

        The weights are of the columns after the acoustic one: of a matrix product the same terms in the
        same order, so that equal totals are equal to the last bit.
        """
        totals = np.repeat(self.scores[:, :1], len(points), axis=1)
        for column, weights in zip(self.scores[:, 1:].T, points.T):
            totals += column[:, None] * weights
        return totals

    def best(self, point: Sequence[float]) -> List[str]:
        """Words of the hypothesis with the highest total at one point; of equal ones the first."""
        return self.words[int(self.totals(np.array([point])).argmax())]

    def with_column(self, scores: np.ndarray) -> "NBest":
        """With one more column of log scores (hypothesis,)."""
        return dataclasses.replace(self, scores=np.column_stack([self.scores, scores]))


def single(words: List[str], way: str) -> NBest:
    """What has no lattice: one hypothesis, whose scores decide nothing."""
    return NBest([words], np.zeros((1, len(COLUMNS))), way)


def make_points(grid: Iterable[Sequence[float]]) -> np.ndarray:
    """All combinations (point, weight) of the weights that are tried."""
    return np.array(list(itertools.product(*grid)))


def write_lists(file: Path, lists: Mapping[str, NBest], about: Dict[str, Any]) -> None:
    """Write n-best lists by name, and what belongs to them, as one shard."""
    rows = {
        key: {"way": nbest.way, "words": nbest.words, "timed": nbest.timed} for key, nbest in lists.items()
    }
    scores = {key: torch.from_numpy(nbest.scores) for key, nbest in lists.items()}
    write_shard(file, scores, {**about, "rows": rows})


def read_lists(file: Path) -> Tuple[Dict[str, NBest], Dict[str, Any]]:
    """Read what write_lists wrote and make_shards has checked."""
    scores, about = read_shard(file, check=False)
    rows = about.pop("rows")
    lists = {}
    for key, each in scores.items():
        timed = tuple(TimedWord(*word) for word in rows[key]["timed"])
        lists[key] = NBest(rows[key]["words"], each.numpy(), rows[key]["way"], timed)
    return lists, about


def choose_weights(
    references: Mapping[str, Sequence[str]],
    lists: Mapping[str, NBest],
    grid: Mapping[str, Sequence[float]],
) -> Tuple[Dict[str, float], List[Dict[str, Any]]]:
    """The weights of `grid` ({name: values}) with the fewest word errors, and the errors of all.

    Of equal ones the middle value of the first weight, then of the next, which is the least on an edge.
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

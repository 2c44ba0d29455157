"""n-best lists: the best word sequences of a lattice, each with a row of log scores."""

import dataclasses
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import k2
import numpy as np
import torch
from torch import Tensor

from asrkit.config import DecodeConfig
from asrkit.decode.shards import read_shard, write_shard

COLUMNS = ("acoustic", "lm", "words")  # of the scores; the last is the number of words
Points = Tuple[np.ndarray, np.ndarray]  # language-model scales (point,) and word bonuses (point,)
ARCS_AT_ONCE = 2_000_000  # of a lattice's copies: about 100 MB


@dataclasses.dataclass(frozen=True)
class NBest:
    """Hypotheses of one utterance.

    `scores` (hypothesis, column) hold natural logarithms: acoustic, language model, then the number
    of words; `way` is the step of the search's ladder that they come from.
    """

    words: List[List[str]]
    scores: np.ndarray
    way: str

    def totals(self, points: Points) -> np.ndarray:
        """Weighed scores (hypothesis, point)."""
        acoustic, lm, words = self.scores.T[:, :, None]  # each (hypothesis, 1)
        totals: np.ndarray = acoustic + lm * points[0] + words * points[1]
        return totals

    def best(self, point: Points) -> List[str]:
        """Words of the hypothesis with the highest total at one point; of equal ones the first."""
        return self.words[int(self.totals(point).argmax())]


def single(words: List[str], way: str) -> NBest:
    """What has no lattice: one hypothesis, whose scores decide nothing."""
    return NBest([words], np.zeros((1, len(COLUMNS))), way)


def write_lists(file: Path, lists: Mapping[str, NBest], about: Dict[str, Any]) -> None:
    """Write n-best lists by utterance, and what belongs to them, as one shard."""
    rows = {key: {"way": nbest.way, "words": nbest.words} for key, nbest in lists.items()}
    scores = {key: torch.from_numpy(nbest.scores) for key, nbest in lists.items()}
    write_shard(file, scores, {**about, "rows": rows})


def read_lists(file: Path) -> Tuple[Dict[str, NBest], Dict[str, Any]]:
    """Read what write_lists wrote."""
    scores, about = read_shard(file)
    rows = about.pop("rows")
    lists = {key: NBest(rows[key]["words"], each.numpy(), rows[key]["way"]) for key, each in scores.items()}
    return lists, about


def grid(config: DecodeConfig) -> Points:
    """Points of decode.lm_scales x decode.word_bonuses."""
    scales, bonuses = np.meshgrid(config.lm_scales, config.word_bonuses, indexing="ij")
    return scales.ravel(), bonuses.ravel()


def list_hypotheses(lattice: k2.Fsa, symbols: Sequence[str], way: str, points: Points) -> NBest:
    """The lattice's exact best path at every point, without duplicates.

    So the best of the list is the best of the lattice at each of these points.
    """
    found: Dict[Tuple[int, ...], List[List[float]]] = {}
    for words, row in best_paths(lattice, points):
        rows = found.setdefault(words, [])
        if not any(abs(row[0] - other[0]) + abs(row[1] - other[1]) < 1e-3 for other in rows):
            rows.append(row)
    pairs = [(words, row) for words, rows in found.items() for row in rows]
    return NBest(
        [[symbols[index] for index in words] for words, _ in pairs],
        np.array([row for _, row in pairs]),
        way,
    )


def best_paths(lattice: k2.Fsa, points: Points) -> Iterable[Tuple[Tuple[int, ...], List[float]]]:
    """Word ids and scores of the best path at each point; the lattice has acoustic_scores and lm_scores."""
    lm_scales, word_bonuses = map(torch.from_numpy, points)
    counts = torch.zeros(lattice.num_arcs).index_add_(0, *_words_on_arcs(lattice)[1:])
    step = max(1, ARCS_AT_ONCE // lattice.num_arcs)
    for first in range(0, len(lm_scales), step):
        scales = lm_scales[first : first + step].float()[:, None]
        bonuses = word_bonuses[first : first + step].float()[:, None]
        copies = k2.index_fsa(lattice, torch.zeros(len(scales), dtype=torch.int32))
        # (point, arc)
        totals = lattice.acoustic_scores + scales * lattice.lm_scores + bonuses * counts
        copies.scores = totals.flatten()
        yield from path_rows(k2.shortest_path(copies, use_double_scores=True))


def path_rows(paths: k2.Fsa) -> List[Tuple[Tuple[int, ...], List[float]]]:
    """Word ids and scores (acoustic, lm, number of words) of each of some linear FSAs."""
    shape = paths.arcs.shape()
    path_of_arc = shape.row_ids(1)[shape.row_ids(2).long()].long()
    sums = [
        torch.zeros(paths.shape[0], dtype=torch.float64).index_add_(0, path_of_arc, scores.double())
        for scores in (paths.acoustic_scores, paths.lm_scores)
    ]
    ids, arcs, _ = _words_on_arcs(paths)
    lengths = torch.bincount(path_of_arc[arcs], minlength=paths.shape[0]).tolist()
    words = [tuple(part.tolist()) for part in ids.split(lengths)]
    return [(each, [*row, float(len(each))]) for each, row in zip(words, torch.stack(sums, 1).tolist())]


def _words_on_arcs(fst: k2.Fsa) -> Tuple[Tensor, Tensor, Tensor]:
    """Word ids (word,), the arc that each is on (word,), and ones (word,)."""
    if isinstance(fst.aux_labels, Tensor):
        ids, arcs = fst.aux_labels, torch.arange(fst.num_arcs)
    else:
        ids, arcs = fst.aux_labels.values, fst.aux_labels.shape.row_ids(1).long()
    inside = ids > 0  # 0 is epsilon, -1 the end
    return ids[inside], arcs[inside], torch.ones(int(inside.sum()))

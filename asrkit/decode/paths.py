"""Paths of a lattice: the best at given weights, drawn ones, those of given words."""

from typing import Dict, Iterator, List, Sequence, Tuple

import k2
import numpy as np
import torch
from torch import Tensor

from asrkit.decode.nbest import NBest

ARCS_AT_ONCE = 2_000_000  # of a lattice's copies, or of paths aligned with it: about 100 MB
SAMPLING_SCALE = 0.5  # on scores while paths are drawn: flatter, so that more of them differ
Words = Tuple[int, ...]


def list_hypotheses(
    lattice: k2.Fsa, symbols: Sequence[str], way: str, points: np.ndarray, samples: int = 0
) -> NBest:
    """The lattice's exact best path at every point (point, weight), then `samples` drawn ones.

    Without duplicates. The best of the list at any of these points is that of the lattice, which has
    acoustic_scores and lm_scores. Drawing is the same at every call: k2 spaces the paths evenly.
    """
    found: Dict[Words, List[List[float]]] = {}
    for words, row in _exact_paths(lattice, points):
        rows = found.setdefault(words, [])
        if not any(abs(row[0] - other[0]) + abs(row[1] - other[1]) < 1e-3 for other in rows):
            rows.append(row)
    if samples:
        drawn = [words for words in _draw_words(lattice, samples) if words not in found]
        for words, row in _align_words(lattice, drawn):
            found[words] = [row]
    pairs = [(words, row) for words, rows in found.items() for row in rows]
    return NBest(
        [[symbols[index] for index in words] for words, _ in pairs],
        np.array([row for _, row in pairs]),
        way,
    )


def _exact_paths(lattice: k2.Fsa, points: np.ndarray) -> Iterator[Tuple[Words, List[float]]]:
    """Word ids and scores of the best path at each point, by copies of the lattice with other scores."""
    step = max(1, ARCS_AT_ONCE // lattice.num_arcs)
    for first in range(0, len(points), step):
        copies = weigh_lattice(lattice, points[first : first + step])
        yield from _path_rows(k2.shortest_path(copies, use_double_scores=True))


def weigh_lattice(lattice: k2.Fsa, points: np.ndarray) -> k2.Fsa:
    """A copy of the lattice for each of `points` (point, weight), its scores weighed by them."""
    _, arcs = words_on_arcs(lattice)
    counts = torch.bincount(arcs, minlength=lattice.num_arcs).float()
    weights = torch.from_numpy(points).float()
    copies = k2.index_fsa(lattice, torch.zeros(len(points), dtype=torch.int32))
    # (point, arc)
    totals = lattice.acoustic_scores + weights[:, :1] * lattice.lm_scores + weights[:, 1:2] * counts
    copies.scores = totals.flatten()
    return copies


def _draw_words(lattice: k2.Fsa, samples: int) -> List[Words]:
    """Different word sequences of paths drawn by flattened scores."""
    flat = lattice.clone()
    flat.scores = lattice.scores * SAMPLING_SCALE
    return list(dict.fromkeys(draw_paths(flat, samples)))


def draw_paths(lattice: k2.Fsa, samples: int) -> List[Words]:
    """Word ids of paths drawn in proportion to their probability, the same at every call."""
    paths = k2.random_paths(lattice, use_double_scores=True, num_paths=samples).remove_axis(0)  # (path, arc)
    ids, arcs = words_on_arcs(lattice)
    words_of: Dict[int, List[int]] = {}
    for word, arc in zip(ids.tolist(), arcs.tolist()):
        words_of.setdefault(arc, []).append(word)
    return [tuple(word for arc in path for word in words_of.get(arc, ())) for path in paths.tolist()]


def _align_words(lattice: k2.Fsa, sequences: Sequence[Words]) -> List[Tuple[Words, List[float]]]:
    """Scores of the best path of each word sequence, which the lattice must hold.

    A sequence can take as many arcs as the lattice has, so a few are aligned at a time: hundreds at once
    took 21 GB on a lattice of a poor model.
    """
    outside, step = words_outside(lattice), max(1, ARCS_AT_ONCE // lattice.num_arcs)
    rows: List[Tuple[Words, List[float]]] = []
    for first in range(0, len(sequences), step):
        some = sequences[first : first + step]
        acceptors = k2.add_epsilon_self_loops(k2.linear_fsa([list(words) for words in some]))
        origin = torch.zeros(len(some), dtype=torch.int32)
        aligned = k2.intersect_device(outside, acceptors, origin, sorted_match_a=True)
        rows += _path_rows(k2.shortest_path(aligned, use_double_scores=True))
    return rows


def words_outside(lattice: k2.Fsa) -> k2.Fsa:
    """The lattice as an acceptor of words, sorted."""
    inverted = k2.invert(lattice)
    del inverted.aux_labels
    return k2.arc_sort(inverted)


def _path_rows(paths: k2.Fsa) -> List[Tuple[Words, List[float]]]:
    """Word ids and scores (acoustic, lm, number of words) of each of some linear FSAs."""
    shape = paths.arcs.shape()
    path_of_arc = shape.row_ids(1)[shape.row_ids(2).long()].long()
    sums = [
        torch.zeros(paths.shape[0], dtype=torch.float64).index_add_(0, path_of_arc, scores.double())
        for scores in (paths.acoustic_scores, paths.lm_scores)
    ]
    ids, arcs = words_on_arcs(paths)
    lengths = torch.bincount(path_of_arc[arcs], minlength=paths.shape[0]).tolist()
    words = [tuple(part.tolist()) for part in ids.split(lengths)]
    return [(each, [*row, float(len(each))]) for each, row in zip(words, torch.stack(sums, 1).tolist())]


def words_on_arcs(fst: k2.Fsa) -> Tuple[Tensor, Tensor]:
    """Word ids (word,) and the arc that each is on (word,); an FSA without aux_labels accepts words."""
    labels = fst.aux_labels if hasattr(fst, "aux_labels") else fst.labels
    if isinstance(labels, Tensor):
        ids, arcs = labels, torch.arange(fst.num_arcs)
    else:
        ids, arcs = labels.values, labels.shape.row_ids(1).long()
    inside = ids > 0  # 0 is epsilon, -1 the end
    return ids[inside], arcs[inside]

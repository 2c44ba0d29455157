"""Paths of a lattice: the best at given weights, drawn ones, those of given words."""

import itertools
from typing import Dict, Iterable, Iterator, List, Sequence, Tuple

import k2
import numpy as np
import torch
from torch import Tensor

from asrkit.config.symbols import BLANK
from asrkit.decode.nbest import NBest

ARCS_AT_ONCE = 2_000_000  # of a lattice's copies: about 100 MB
# On scores while paths are drawn, a third of them at each: flatter, so that more of a good model's differ,
# and sharper, for where every frame has its alternatives, as of a poor model, they are else far from the best
SAMPLING_SCALES = (0.5, 1.0, 2.0)
Words = Tuple[int, ...]
Scored = Tuple[Words, List[float]]  # acoustic, lm, number of words


def list_hypotheses(
    lattice: k2.Fsa, symbols: Sequence[str], way: str, points: np.ndarray, drawn: Iterable[Scored] = ()
) -> NBest:
    """The lattice's exact best path at every point (point, weight), then what else was `drawn`.

    Without duplicates. At any of these points the best of the list is that of the lattice, which has
    acoustic_scores and lm_scores, or a better one whose alignment the search's beams have left out.
    """
    found: Dict[Words, List[List[float]]] = {}
    for words, row in _exact_paths(lattice, points):
        rows = found.setdefault(words, [])
        if not any(abs(row[0] - other[0]) + abs(row[1] - other[1]) < 1e-3 for other in rows):
            rows.append(row)
    for words, row in drawn:
        found.setdefault(words, [row])
    pairs = [(words, row) for words, rows in found.items() for row in rows]
    return NBest(
        [[symbols[index] for index in words] for words, _ in pairs],
        np.array([row for _, row in pairs]),
        way,
    )


def _exact_paths(lattice: k2.Fsa, points: np.ndarray) -> Iterator[Scored]:
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


def draw_hypotheses(lattice: k2.Fsa, log_probs: Tensor, samples: int) -> List[Scored]:
    """Different word sequences of `samples` paths, which are drawn by flattened and by sharpened scores.

    The same at every call. Each has the acoustic score of its units' best alignment with `log_probs`
    (frame, unit), those that were searched, and the lattice's other scores of its words; of several
    pronunciations that were drawn, those with the highest sum. The modified topology needs no blank between
    two of the same unit, so that what is drawn doesn't tell them from one, and they are aligned as one.
    """
    scaled, parts = lattice.clone(), []
    for place, scale in enumerate(SAMPLING_SCALES):
        scaled.scores = lattice.scores * scale
        number = (samples + place) // len(SAMPLING_SCALES)
        parts += [_draw_arcs(scaled, number)] if number else []
    arcs = torch.cat(parts)  # (path, arc)
    labels = lattice.labels[arcs][:, :-1].tolist()  # [path][frame]
    units = [tuple(unit for unit, _ in itertools.groupby(path) if unit != BLANK) for path in labels]
    different = list(dict.fromkeys(units))
    frames = len(labels[0])
    acoustic = dict(zip(different, align_best(log_probs[:frames], different).tolist()))
    best: Dict[Words, List[float]] = {}
    for each, (words, (_, *others)) in zip(units, _retrace(lattice, labels, _words_along(lattice, arcs))):
        row = [acoustic[each], *others]
        if words not in best or row[0] + row[1] > best[words][0] + best[words][1]:
            best[words] = row
    return list(best.items())


def _retrace(lattice: k2.Fsa, labels: List[List[int]], words: Sequence[Words]) -> List[Scored]:
    """The best path of each row of `labels` [path][frame] with its `words`, which the lattice must hold.

    A drawn path may back off to shorter n-grams where the lattice has longer ones.
    """
    strings = k2.linear_fsa(labels)
    origin = torch.zeros(len(labels), dtype=torch.int32)
    traced = k2.intersect_device(k2.arc_sort(lattice), strings, origin, sorted_match_a=True)
    acceptors = k2.add_epsilon_self_loops(k2.linear_fsa([list(each) for each in words]))
    same = torch.arange(len(labels), dtype=torch.int32)
    aligned = k2.intersect_device(words_outside(traced), acceptors, same, sorted_match_a=True)
    return _path_rows(k2.shortest_path(aligned, use_double_scores=True))


def draw_paths(lattice: k2.Fsa, samples: int) -> List[Words]:
    """Word ids of paths drawn in proportion to their probability, the same at every call."""
    return _words_along(lattice, _draw_arcs(lattice, samples))


def _draw_arcs(lattice: k2.Fsa, samples: int) -> Tensor:
    """Arcs (path, arc) of drawn paths, which k2 spaces evenly: one for each frame and one for the end."""
    paths = k2.random_paths(lattice, use_double_scores=True, num_paths=samples)
    return paths.values.long().view(samples, -1)


def _words_along(lattice: k2.Fsa, arcs: Tensor) -> List[Words]:
    """Word ids of each of the paths `arcs` (path, arc)."""
    ids, owners = words_on_arcs(lattice)
    words_of: Dict[int, List[int]] = {}
    for word, arc in zip(ids.tolist(), owners.tolist()):
        words_of.setdefault(arc, []).append(word)
    return [tuple(word for arc in path for word in words_of.get(arc, ())) for path in arcs.tolist()]


def words_outside(lattice: k2.Fsa) -> k2.Fsa:
    """The lattice as an acceptor of words, sorted."""
    inverted = k2.invert(lattice)
    del inverted.aux_labels
    return k2.arc_sort(inverted)


def _path_rows(paths: k2.Fsa) -> List[Scored]:
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


def align_best(log_probs: Tensor, sequences: Sequence[Sequence[int]]) -> Tensor:
    """Log-probability (sequence,) of the best alignment of each sequence of units; -inf where there is none.

    `log_probs` (frame, unit) are of one utterance. Source: Graves et al. 2006, section 4, with the best
    alignment in place of the sum over all.
    """
    lengths = torch.tensor([len(units) for units in sequences])
    states = torch.full((len(sequences), 2 * int(lengths.max()) + 1), BLANK)  # a blank around each unit
    for row, units in zip(states, sequences):
        row[1 : 2 * len(units) : 2] = torch.tensor(units, dtype=torch.long)
    # (sequence, state), from the third: a unit that may follow another without the blank between them
    direct = (states[:, 2:] != BLANK) & (states[:, 2:] != states[:, :-2])
    barred = torch.zeros(direct.shape).masked_fill(~direct, -torch.inf)
    scores = torch.full(states.shape, -torch.inf)  # of the best way to be there
    scores[:, 0] = 0
    for frame in log_probs:
        entered = scores.clone()
        entered[:, 1:] = torch.maximum(entered[:, 1:], scores[:, :-1])
        entered[:, 2:] = torch.maximum(entered[:, 2:], scores[:, :-2] + barred)
        scores = entered + frame[states]
    ends = torch.stack([2 * lengths, (2 * lengths - 1).clamp(min=0)], dim=1)
    return scores.gather(1, ends).amax(1)

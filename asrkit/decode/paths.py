"""Paths of a lattice: the best at given weights, drawn ones, those of given words; lattices rescored whole.

lattice of two frames, an arc is unit:word (acoustic, lm):

    0 -- G:GO (-0.2, -2.0) --> 1 -- O:- (-0.1, 0.0) --> 3
    0 -- N:NO (-1.7, -0.5) --> 2 -- O:- (-0.1, 0.0) --> 3

best path at (lm_scale 0, word_bonus 0): GO, -0.3            NO has -1.8
best path at (lm_scale 2, word_bonus 0): NO, -1.8 - 1.0      GO has -0.3 - 4.0
list_hypotheses at both points: GO [-0.3, -2.0, 1], NO [-1.8, -0.5, 1] (acoustic, lm, number of words)
draw_hypotheses: the same rows for whatever word sequences are drawn, in proportion to their probability
"""

import itertools
from typing import Dict, Iterable, List, Sequence, Tuple

import k2
import numpy as np
import torch
from torch import Tensor

from asrkit.config.symbols import BLANK
from asrkit.decode.best_paths import best_paths, steps_of
from asrkit.decode.nbest import NBest

ARCS_AT_ONCE = 2_000_000  # of a lattice's copies: about 100 MB
MOST_ARCS = 8_000  # of a lattice composed with a grammar: a weak model's 140,000 became over 100 million
# A third of the paths is drawn at each scale: scales < 1 (temperatures > 1) diversify the paths of a good
# model's confident lattice, scales > 1 keep those of a weak model's diffuse lattice near the best
SAMPLING_SCALES = (0.5, 1.0, 2.0)
Words = Tuple[int, ...]
Scored = Tuple[Words, List[float]]  # acoustic, lm, number of words


def list_hypotheses(
    lattice: k2.Fsa, symbols: Sequence[str], outcome: str, points: np.ndarray, drawn: Iterable[Scored] = ()
) -> NBest:
    """n-best list of the lattice's exact best path at every point (point, weight), then the `drawn` ones.

    Without duplicates. The lattice has acoustic_scores and lm_scores. At each point the best of the list is
    the lattice's best path, or a drawn one whose best alignment was outside the beam.
    """
    found: Dict[Words, List[List[float]]] = {}
    for words, row in _best_at(lattice, points):
        rows = found.setdefault(words, [])
        if not any(abs(row[0] - other[0]) + abs(row[1] - other[1]) < 1e-3 for other in rows):
            rows.append(row)
    for words, row in drawn:
        found.setdefault(words, [row])
    pairs = [
        (words, row)
        for words, rows in found.items()
        for row in rows
        if not any(other[0] > row[0] - 1e-3 and other[1] > row[1] + 1e-3 for other in rows)  # never better
    ]
    return NBest(
        [[symbols[index] for index in words] for words, _ in pairs],
        np.array([row for _, row in pairs]),
        outcome,
    )


def _best_at(lattice: k2.Fsa, points: np.ndarray) -> List[Scored]:
    """The best path at each point; points with the same path may share an entry."""
    steps = steps_of(lattice)
    found: List[Scored] = []
    size = max(1, ARCS_AT_ONCE // lattice.num_arcs)
    for first in range(0, len(points), size):
        some = points[first : first + size]
        if steps is None:
            copies = weigh_lattice(lattice, some)
            found += _path_rows(k2.shortest_path(copies, use_double_scores=True))
        else:
            paths = best_paths(steps, _totals(lattice, some).T.numpy())
            found += _rows_along(lattice, np.stack(list({path.tobytes(): path for path in paths}.values())))
            tied = paths[some[:, 0] == 0]  # with other paths of these words, which back off elsewhere
            if len(tied) and bool(lattice.lm_scores.any()):
                found += _retrace(lattice, torch.from_numpy(np.unique(tied, axis=0)))
    return found


def _rows_along(lattice: k2.Fsa, arcs: np.ndarray) -> List[Scored]:
    """Word ids and scores of the paths in `arcs` (path, arc), in the form of _path_rows."""
    sums = [
        np.cumsum(scores.double().numpy()[arcs], axis=1)[:, -1]  # one by one, to round as index_add_ does
        for scores in (lattice.acoustic_scores, lattice.lm_scores)
    ]
    words = _words_along(lattice, torch.from_numpy(arcs))
    return [(each, [*row, float(len(each))]) for each, row in zip(words, np.stack(sums, 1).tolist())]


def weigh_lattice(lattice: k2.Fsa, points: np.ndarray) -> k2.Fsa:
    """One copy of the lattice per point (point, [lm_scale, word_bonus]), with its total scores there."""
    copies = k2.index_fsa(lattice, torch.zeros(len(points), dtype=torch.int32))
    copies.scores = _totals(lattice, points).flatten()
    return copies


def _totals(lattice: k2.Fsa, points: np.ndarray) -> Tensor:
    """Total scores (point, arc) at each point (point, [lm_scale, word_bonus])."""
    _, arcs = words_on_arcs(lattice)
    counts = torch.bincount(arcs, minlength=lattice.num_arcs).float()
    weights = torch.from_numpy(points).float()
    return lattice.acoustic_scores + weights[:, :1] * lattice.lm_scores + weights[:, 1:2] * counts


def draw_hypotheses(lattice: k2.Fsa, log_probs: Tensor, samples: int) -> List[Scored]:
    """Distinct word sequences of `samples` paths drawn at SAMPLING_SCALES, the same at every call.

    The acoustic score is that of the units' best alignment with the searched `log_probs` (frame, unit), the
    others are the lattice's for these words; of several drawn pronunciations, the one with the highest sum
    counts. In the modified topology a repeated unit needs no blank between, so a drawn path doesn't show
    whether a unit is repeated: it is aligned as one.
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
    for each, (words, (_, *others)) in zip(units, _retrace(lattice, arcs)):
        row = [acoustic[each], *others]
        if words not in best or row[0] + row[1] > best[words][0] + best[words][1]:
            best[words] = row
    return list(best.items())


def _retrace(lattice: k2.Fsa, arcs: Tensor) -> List[Scored]:
    """The lattice's best path with the labels and the words of each path in `arcs` (path, arc).

    A path that wasn't chosen by its LM score may have backed off to shorter n-grams although the lattice has
    longer ones.
    """
    labels, words = lattice.labels[arcs][:, :-1].tolist(), _words_along(lattice, arcs)
    strings = k2.linear_fsa(labels)
    origin = torch.zeros(len(labels), dtype=torch.int32)
    traced = k2.intersect_device(k2.arc_sort(lattice), strings, origin, sorted_match_a=True)
    acceptors = k2.add_epsilon_self_loops(k2.linear_fsa([list(each) for each in words]))
    same = torch.arange(len(labels), dtype=torch.int32)
    aligned = k2.intersect_device(project_to_words(traced), acceptors, same, sorted_match_a=True)
    return _path_rows(k2.shortest_path(aligned, use_double_scores=True))


def draw_paths(lattice: k2.Fsa, samples: int) -> List[Words]:
    """Word ids of paths drawn in proportion to their probability, the same at every call."""
    return _words_along(lattice, _draw_arcs(lattice, samples))


def _draw_arcs(lattice: k2.Fsa, samples: int) -> Tensor:
    """Arcs (path, arc) of drawn paths, evenly spaced by k2: one arc per frame and the final one."""
    paths = k2.random_paths(lattice, use_double_scores=True, num_paths=samples)
    return paths.values.long().view(samples, -1)


def _words_along(lattice: k2.Fsa, arcs: Tensor) -> List[Words]:
    """Word ids of each path in `arcs` (path, arc)."""
    ids, owners = words_on_arcs(lattice)
    words_of: Dict[int, List[int]] = {}
    for word, arc in zip(ids.tolist(), owners.tolist()):
        words_of.setdefault(arc, []).append(word)
    return [tuple(word for arc in path for word in words_of.get(arc, ())) for path in arcs.tolist()]


def project_to_words(lattice: k2.Fsa) -> k2.Fsa:
    """Output projection: the lattice as an acceptor of words, arcs sorted."""
    inverted = k2.invert(lattice)
    del inverted.aux_labels
    return k2.arc_sort(inverted)


def _path_rows(paths: k2.Fsa) -> List[Scored]:
    """Word ids and scores (acoustic, lm, number of words) of each of several linear FSAs."""
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
    """Word ids (word,) and the arc of each (word,); without aux_labels, the labels are the words."""
    labels = fst.aux_labels if hasattr(fst, "aux_labels") else fst.labels
    if isinstance(labels, Tensor):
        ids, arcs = labels, torch.arange(fst.num_arcs)
    else:
        ids, arcs = labels.values, labels.shape.row_ids(1).long()
    inside = ids > 0  # 0 is epsilon, -1 the end
    return ids[inside], arcs[inside]


def align_best(log_probs: Tensor, sequences: Sequence[Sequence[int]]) -> Tensor:
    """Viterbi score (sequence,) of each unit sequence under CTC; -inf if it can't be aligned.

    `log_probs` (frame, unit) are of one utterance. Source: Graves et al. 2006, section 4, with the best
    alignment instead of the sum over all.
    """
    lengths = torch.tensor([len(units) for units in sequences])
    states = torch.full((len(sequences), 2 * int(lengths.max()) + 1), BLANK)  # a blank around each unit
    for row, units in zip(states, sequences):
        row[1 : 2 * len(units) : 2] = torch.tensor(units, dtype=torch.long)
    # (sequence, state)
    direct = (states[:, 2:] != BLANK) & (states[:, 2:] != states[:, :-2])
    barred = torch.zeros(direct.shape).masked_fill(~direct, -torch.inf)
    scores = torch.full(states.shape, -torch.inf)  # of the best partial alignment
    scores[:, 0] = 0
    for frame in log_probs:
        entered = scores.clone()
        entered[:, 1:] = torch.maximum(entered[:, 1:], scores[:, :-1])
        entered[:, 2:] = torch.maximum(entered[:, 2:], scores[:, :-2] + barred)
        scores = entered + frame[states]
    ends = torch.stack([2 * lengths, (2 * lengths - 1).clamp(min=0)], dim=1)
    return scores.gather(1, ends).amax(1)


def prune_lattice(lattice: k2.Fsa, most_arcs: int) -> k2.Fsa:
    """Prune to at most `most_arcs` arcs: those whose best path is nearest to the overall best path."""
    if lattice.num_arcs <= most_arcs:
        return lattice
    # (arc,) best path through each arc, minus the overall best
    differences = k2.Fsa.from_fsas([lattice]).get_arc_post(use_double_scores=True, log_semiring=False)
    nearest = differences.argsort(descending=True, stable=True)[:most_arcs].sort().values
    pruned = k2.Fsa(lattice.arcs.values()[nearest])
    for name, values in lattice.named_tensor_attr(include_scores=False):
        setattr(pruned, name, values[nearest])
    return k2.connect(pruned)


def rescore_lattice(lattice: k2.Fsa, grammar: k2.Fsa, scored_as: Tensor) -> k2.Fsa:
    """The lattice's words (aux_labels) with lm_scores of `grammar` in place of the lattice's own.

    `scored_as` (word,): for each word id, the label in the grammar that scores it. The result is empty if the
    grammar allows none of the word sequences. The lattice is first pruned to MOST_ARCS.
    """
    words = prune_lattice(project_to_words(lattice)[0], MOST_ARCS)
    del words.lm_scores
    words.aux_labels = words.labels.clone()
    inside = words.labels >= 0  # final arcs have label -1
    words.labels = torch.where(inside, scored_as[words.labels.clamp(min=0).long()], words.labels)
    sorted_words = k2.arc_sort(words)
    rescored = k2.top_sort(k2.connect(k2.intersect(sorted_words, grammar, treat_epsilons_specially=True)))
    return k2.Fsa.from_fsas([rescored])

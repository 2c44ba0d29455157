"""The best paths of a lattice at all points of a grid of weights, in one pass over its frames.

k2 needs a copy of the lattice per point, and sorts the states of each copy. The states of a CTC lattice are
already in the order of frames, so all points can be searched together, frame by frame:

    arc         frame 1: 0 -> 1   0 -> 2     frame 2: 1 -> 3   2 -> 3
    point 0              -0.2     -1.7                -0.1     -0.1
    point 1              -4.2     -2.7                -0.1     -0.1

    best score of states 1 and 2:   point 0 [-0.2, -1.7]   point 1 [-4.2, -2.7]
    of state 3:                     point 0 -0.3 from 1    point 1 -2.8 from 2
    best_paths:                     [[0, 2], [1, 3]]       arcs of each point
"""

from typing import List, NamedTuple, Optional, Sequence

import k2
import numpy as np


class Step(NamedTuple):
    """Arcs from the states of one frame to those of the next, sorted by target state."""

    arcs: np.ndarray  # (arc,) index in the lattice
    sources: np.ndarray  # (arc,) index of the source state within its frame
    starts: np.ndarray  # (state,) for each state of the next frame, the index of its first entering arc


def best_paths(steps: Sequence[Step], totals: np.ndarray) -> np.ndarray:
    """Find the best path at each point, with the scores `totals` (arc, point); returns arcs (point, frame).

    If paths have equal scores, the one whose arcs come last is chosen, as in k2.
    """
    points = np.arange(totals.shape[1])
    best = np.zeros((1, len(points)))  # (state of the frame, point)
    reached: List[np.ndarray] = []  # `best` of each frame, for the traceback
    for step in steps:
        reached.append(best)
        scores = best[step.sources] + totals[step.arcs]  # (arc, point)
        best = np.maximum.reduceat(scores, step.starts, axis=0)
    state = np.zeros(len(points), dtype=np.int64)  # the final state
    path = np.empty((len(points), len(steps)), dtype=np.int64)
    for place in range(len(steps) - 1, -1, -1):
        step = steps[place]
        ends = np.append(step.starts[1:], len(step.arcs))
        width = np.arange((ends[state] - step.starts[state]).max())[:, None]
        # Arcs that enter each point's state (entering arc, point); the last comes first, as argmax prefers it
        entering = np.maximum(ends[state] - 1 - width, step.starts[state])
        scores = reached[place][step.sources[entering], points] + totals[step.arcs[entering], points]
        chosen = entering[scores.argmax(axis=0), points]
        path[:, place] = step.arcs[chosen]
        state = step.sources[chosen]
    return path


def steps_of(lattice: k2.Fsa) -> Optional[List[Step]]:
    """Group the arcs of a lattice (an FsaVec with one FSA) by frame.

    Returns None if its states aren't in the order of frames, or if its paths differ in length.
    """
    arcs = lattice.arcs.values().numpy()  # (arc, [source, target, label, score]), sorted by source
    ends = lattice.arcs.row_splits(2).numpy()  # (state + 1,) where the arcs of each state begin
    steps: List[Step] = []
    first, last = 0, 1  # range of the states of a frame
    while last < len(ends) - 1:
        between = slice(int(ends[first]), int(ends[last]))
        targets = arcs[between, 1]
        if not len(targets) or targets.min() != last:
            return None
        following = int(targets.max()) + 1
        order = np.argsort(targets, kind="stable")
        entered, starts = np.unique(targets[order], return_index=True)
        if len(entered) != following - last:
            return None
        steps.append(Step(between.start + order, arcs[between, 0][order] - first, starts))
        first, last = last, following
    return steps if last - first == 1 else None

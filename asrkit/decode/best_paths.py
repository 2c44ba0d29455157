"""The best paths of a lattice at many weights, by one pass over its frames.

k2 needs a copy of the lattice for each point, and works out the order of states in each. A lattice of CTC has
its states by frame, so that all points can take each step at once:

    arc         frame 1: 0 -> 1   0 -> 2     frame 2: 1 -> 3   2 -> 3
    point 0              -0.2     -1.7                -0.1     -0.1
    point 1              -4.2     -2.7                -0.1     -0.1

    best score of states 1 and 2:   point 0 [-0.2, -1.7]   point 1 [-4.2, -2.7]
    of state 3:                     point 0 -0.3 by 1      point 1 -2.8 by 2
    best_paths:                     [[0, 2], [1, 3]]       arcs of each point
"""

from typing import List, NamedTuple, Optional, Sequence

import k2
import numpy as np


class Step(NamedTuple):
    """The arcs between the states of two frames, by the state that they enter."""

    arcs: np.ndarray  # (arc,)
    sources: np.ndarray  # (arc,) as places among the states of the frame
    starts: np.ndarray  # (state,) of the next frame: the place of its first arc


def best_paths(steps: Sequence[Step], totals: np.ndarray) -> np.ndarray:
    """Arcs (point, frame) of the best path at each point, by the scores `totals` (arc, point).

    Of equal paths k2 has the same: that whose arcs come last.
    """
    points = np.arange(totals.shape[1])
    best = np.zeros((1, len(points)))  # (state, point) of the frame
    reached: List[np.ndarray] = []  # best of each frame
    for step in steps:
        reached.append(best)
        scores = best[step.sources] + totals[step.arcs]  # (arc, point)
        best = np.maximum.reduceat(scores, step.starts, axis=0)
    state = np.zeros(len(points), dtype=np.int64)  # the final one
    path = np.empty((len(points), len(steps)), dtype=np.int64)
    for place in range(len(steps) - 1, -1, -1):
        step = steps[place]
        ends = np.append(step.starts[1:], len(step.arcs))
        width = np.arange((ends[state] - step.starts[state]).max())[:, None]
        # The arcs that enter each point's state, the last first (entering arc, point)
        entering = np.maximum(ends[state] - 1 - width, step.starts[state])
        scores = reached[place][step.sources[entering], points] + totals[step.arcs[entering], points]
        chosen = entering[scores.argmax(axis=0), points]
        path[:, place] = step.arcs[chosen]
        state = step.sources[chosen]
    return path


def steps_of(lattice: k2.Fsa) -> Optional[List[Step]]:
    """The arcs from each frame's states to the next frame's, of a lattice as an FsaVec of one.

    Returns None if the states aren't in order of frames, or if some paths have more arcs than others.
    """
    arcs = lattice.arcs.values().numpy()  # (arc, [source, target, label, score]), by source
    ends = lattice.arcs.row_splits(2).numpy()  # of the arcs of each state
    steps: List[Step] = []
    first, last = 0, 1  # the states of a frame
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

"""H: the CTC topology, composed with arcs of units."""

from typing import Iterator, Tuple

import numpy as np

from asrkit.graph.arcs import END, NO_WORD, Arcs, count_up, make_table

BLANK = 0
STATES_AT_ONCE = 500_000  # whose arcs are laid out together: about 100 MB


def add_topology(arcs: Arcs, final: np.ndarray, units: int, modified: bool) -> Tuple[np.ndarray, np.ndarray]:
    """H composed with `arcs`, sorted by source, and `final` scores (state,); `units` counts blank too.

    A state of it is one of theirs together with the unit that was last, or blank. In the modified topology
    a unit may follow itself without a blank between, and arcs of words leave states of blank only. Gives
    k2's table (arc, [source, target, unit, score's bits]), sorted by source, and the arcs' words (arc,).
    """
    entering = arcs.target * np.int64(units) + arcs.unit
    keys = np.unique(np.concatenate([entering, np.arange(len(final)) * np.int64(units)]))
    target = np.searchsorted(keys, entering).astype(np.int32)
    del entering
    owner, last = (part.astype(np.int32) for part in np.divmod(keys, units))
    state = np.arange(len(owner), dtype=np.int32)
    blank, spoken = state[last == BLANK], state[last != BLANK]  # blank (state of `arcs`,): its place here
    ending = blank if modified else state
    ending = ending[np.isfinite(final[owner[ending]])]
    if modified:
        leaving = np.zeros(len(state) + 1, dtype=np.int64)
        leaving[blank] = 2 * np.bincount(arcs.source, minlength=len(final))
    else:
        leaving = _count_leaving(arcs, keys, owner, units)
    del keys
    counts = leaving + 1
    counts[-1] = 0  # the final state
    counts[spoken] += 1
    counts[ending] += 1

    def parts() -> Iterator[Arcs]:
        end = np.full_like(ending, END)
        yield Arcs(ending, np.full_like(ending, len(state)), end, end, final[owner[ending]])
        yield _wordless(state, state, last)
        yield _wordless(spoken, blank[owner[spoken]], last[spoken] if modified else np.zeros_like(spoken))
        if modified:
            for entered in (blank[arcs.target], target):
                yield Arcs(blank[arcs.source], entered, arcs.unit, arcs.word, arcs.score)
        else:
            for first in range(0, len(state), STATES_AT_ONCE):
                part = slice(first, first + STATES_AT_ONCE)
                yield _leave(arcs, target, state[part], owner[part], last[part])

    return make_table("HLG", counts, parts())


def _wordless(source: np.ndarray, target: np.ndarray, unit: np.ndarray) -> Arcs:
    return Arcs(source, target, unit, np.full_like(unit, NO_WORD), np.zeros(len(unit), dtype=np.float32))


def _count_leaving(arcs: Arcs, keys: np.ndarray, owner: np.ndarray, units: int) -> np.ndarray:
    """How many arcs of the owner each state has: all but those of its last unit; (state + 1,), the last 0."""
    again = arcs.source * np.int64(units) + arcs.unit  # sorted nearly: quickly found
    place = np.minimum(np.searchsorted(keys, again), len(keys) - 1)
    again = np.bincount(place[keys[place] == again], minlength=len(keys))
    return np.append(np.bincount(arcs.source, minlength=int(owner[-1]) + 1)[owner] - again, 0)


def _leave(arcs: Arcs, target: np.ndarray, state: np.ndarray, owner: np.ndarray, last: np.ndarray) -> Arcs:
    """Arcs of some states, which are those of the owner but for the last unit's."""
    first, after = (np.searchsorted(arcs.source, owner, side=side) for side in ("left", "right"))
    which = np.repeat(first, after - first) + count_up(after - first)
    source = np.repeat(np.arange(len(state)), after - first)
    differ = arcs.unit[which] != last[source]
    which = which[differ]
    return Arcs(state[source[differ]], target[which], arcs.unit[which], arcs.word[which], arcs.score[which])

"""H: the CTC topology, composed with arcs of units."""

import dataclasses
from typing import Iterator, Tuple

import numpy as np

from asrkit.graph.arcs import END, NO_WORD, Arcs, count_up, make_table, refuse_overflow
from asrkit.graph.hubs import Hubs
from asrkit.lm.pairs import pair_keys

BLANK = 0
STATES_AT_ONCE = 500_000  # whose arcs are laid out together: about 100 MB


def add_topology(hubs: Hubs, units: int, modified: bool) -> Tuple[np.ndarray, np.ndarray]:
    """H composed with the arcs and final scores of `hubs`; `units` counts blank too.

    A state is one of theirs together with the unit that was last, or blank; it has the arcs of theirs, but
    for those of the last unit, which takes a blank before it. In the modified topology it takes none, and a
    unit's arcs are doubled: to (state, blank) at once, or by way of (state, unit), which has only its loop
    and an arc there. A hub's rest has its arcs alone; its share takes a blank to the hub, and its loop leads
    to the rest too.
    Gives k2's table (arc, [source, target, unit, score's bits]), sorted by source, and words (arc,).
    """
    arcs, final = hubs.arcs, hubs.final
    entered = np.where((arcs.target >= hubs.rests) & (arcs.target < hubs.shares), BLANK, arcs.unit)
    keys = np.unique(
        np.concatenate(
            [pair_keys(arcs.target, entered, units), pair_keys(np.arange(hubs.shares), BLANK, units)]
        )
    )
    refuse_overflow("HLG", len(keys) + 1, 0)
    owner, last = (part.astype(np.int32) for part in np.divmod(keys, units))
    state = np.arange(len(owner), dtype=np.int32)
    blank, spoken = state[last == BLANK], state[last != BLANK]  # blank: the place of (state, blank), by state
    after_blank = np.concatenate([blank, blank[hubs.hub]])  # by state
    looped = state[(owner < hubs.rests) | (owner >= hubs.shares)]
    shared = state[owner >= hubs.shares]
    arcs = _enter(arcs, entered, keys, blank, modified, units)
    closed = modified & (last != BLANK)
    ending = state[~closed & np.isfinite(final[owner])]
    leaving = np.where(closed, 0, np.bincount(arcs.source, minlength=len(final))[owner])
    place, there = _find(keys, pair_keys(arcs.source, arcs.unit, units))
    place = place[there & ~closed[place]]
    leaving -= np.bincount(place, minlength=len(keys))
    del keys, place, there
    counts = np.append(leaving, 0)
    for some in (looped, spoken, shared):
        counts[some] += 1
    counts[ending] += 1

    def parts() -> Iterator[Arcs]:
        end = np.full_like(ending, END)
        yield Arcs(ending, np.full_like(ending, len(state)), end, end, final[owner[ending]])
        yield _wordless(looped, looped, last[looped])
        yield _wordless(shared, blank[owner[shared] - len(hubs.hub)], last[shared])
        yield _wordless(spoken, after_blank[owner[spoken]], np.where(closed, last, BLANK)[spoken])
        for first in range(0, len(state), STATES_AT_ONCE):
            some = np.arange(first, min(first + STATES_AT_ONCE, len(state)), dtype=np.int32)
            some = some[~closed[some]]
            yield _leave(arcs, some, owner[some], last[some])

    return make_table("HLG", counts, parts())


def _find(keys: np.ndarray, wanted: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Where among `keys`, which are sorted, each wanted one is, and whether it is there."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return place, keys[place] == wanted


def _enter(
    arcs: Arcs, entered: np.ndarray, keys: np.ndarray, blank: np.ndarray, doubled: bool, units: int
) -> Arcs:
    """The arcs with targets among `keys`, or each of them twice, with the target after a blank too."""
    target = np.searchsorted(keys, pair_keys(arcs.target, entered, units)).astype(np.int32)
    if not doubled:
        return dataclasses.replace(arcs, target=target)
    which = np.repeat(np.arange(len(arcs), dtype=np.int32), 2)
    target = np.stack([target, blank[arcs.target]], axis=1).flatten()
    return Arcs(arcs.source[which], target, arcs.unit[which], arcs.word[which], arcs.score[which])


def _wordless(source: np.ndarray, target: np.ndarray, unit: np.ndarray) -> Arcs:
    return Arcs(source, target, unit, np.full_like(unit, NO_WORD), np.zeros(len(unit), dtype=np.float32))


def _leave(arcs: Arcs, state: np.ndarray, owner: np.ndarray, last: np.ndarray) -> Arcs:
    """Arcs of some states, which are those of the owner but for the last unit's."""
    first, after = (np.searchsorted(arcs.source, owner, side=side) for side in ("left", "right"))
    which = np.repeat(first, after - first) + count_up(after - first)
    source = np.repeat(np.arange(len(state)), after - first)
    differ = arcs.unit[which] != last[source]
    which = which[differ]
    return Arcs(
        state[source[differ]], arcs.target[which], arcs.unit[which], arcs.word[which], arcs.score[which]
    )

"""H, the CTC topology, composed with the arcs of LG.

A state of HLG is a state of LG with the last unit u, or with the blank. From LG's state s, reached by unit a,
with an arc for unit b to state t, the standard topology makes

    (s, a) -a-> itself    (s, a) -blank-> (s, blank)    (s, a) -b:word-> (t, b)    but none if b is a:
                                                        a blank must separate repeated units
    (s, blank) -blank-> itself    (s, blank) -b:word-> (t, b)

and the modified one, where repeated units need no blank and LG's arcs leave only (s, blank):

    (s, blank) -b:word-> (t, blank)    (s, blank) -b:word-> (t, b)    (t, b) -b-> itself and (t, blank)
"""

from typing import Iterator, Tuple

import numpy as np

from asrkit.config.symbols import BLANK
from asrkit.graph.arcs import FINAL, Arcs, count_up, make_arcs, make_table, refuse_overflow
from asrkit.graph.hubs import Hubs
from asrkit.lm.model import pair_keys

STATES_AT_ONCE = 500_000  # states whose arcs are laid out together: about 100 MB


def add_topology(hubs: Hubs, units: int, modified: bool) -> Tuple[np.ndarray, np.ndarray]:
    """H composed with LG after split_hubs; `units` counts the blank too.

    States by type (owner: their state of LG):

    - plain: as in the drawings above
    - rest of a hub: only the owner's arcs, and no last unit
    - share of a hub: as plain, but its blank leads to (hub, blank), and its last unit also to its rest

    Gives k2's table (arc, [source, target, unit, score bits]), sorted by source, and the words (arc,).
    """
    arcs, final = hubs.arcs, hubs.final
    entered = np.where((arcs.target >= hubs.rests) & (arcs.target < hubs.shares), BLANK, arcs.unit)
    after_units = pair_keys(arcs.target, entered, units)
    after_blanks = pair_keys(np.arange(hubs.shares), BLANK, units)
    keys = np.unique(np.concatenate([after_units, after_blanks]))
    refuse_overflow("HLG", len(keys) + 1)
    owner, last = (part.astype(np.int32) for part in np.divmod(keys, units))
    state = np.arange(len(owner), dtype=np.int32)
    blank, spoken = state[last == BLANK], state[last != BLANK]  # blank[s]: the number of (s, blank)
    blank_after = np.concatenate([blank, blank[hubs.hub]])  # by owner
    looped = state[(owner < hubs.rests) | (owner >= hubs.shares)]
    shared = state[owner >= hubs.shares]
    arcs = _enter(arcs, entered, keys, blank, modified, units)
    closed = modified & (last != BLANK)  # without LG's arcs
    ending = state[~closed & np.isfinite(final[owner])]
    leaving = np.where(closed, 0, np.bincount(arcs.source, minlength=len(final))[owner])
    wanted = pair_keys(arcs.source, arcs.unit, units)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    repeating = place[(keys[place] == wanted) & ~closed[place]]  # arcs that would repeat the last unit
    leaving -= np.bincount(repeating, minlength=len(keys))
    del keys, after_units, after_blanks, wanted, place, repeating
    counts = np.append(leaving, 0)
    for some in (looped, spoken, shared, ending):
        counts[some] += 1

    def parts() -> Iterator[Arcs]:
        yield make_arcs(ending, np.full_like(ending, len(state)), FINAL, FINAL, final[owner[ending]])
        yield make_arcs(looped, looped, last[looped])
        yield make_arcs(shared, blank[owner[shared] - len(hubs.hub)], last[shared])
        yield make_arcs(spoken, blank_after[owner[spoken]], np.where(closed, last, BLANK)[spoken])
        for first in range(0, len(state), STATES_AT_ONCE):
            some = np.arange(first, min(first + STATES_AT_ONCE, len(state)), dtype=np.int32)
            some = some[~closed[some]]
            yield _leave(arcs, some, owner[some], last[some])

    return make_table("HLG", counts, parts())


def _enter(
    arcs: Arcs, entered: np.ndarray, keys: np.ndarray, blank: np.ndarray, doubled: bool, units: int
) -> Arcs:
    """The arcs with targets in HLG; `doubled`: each to (t, b) and to (t, blank)."""
    target = np.searchsorted(keys, pair_keys(arcs.target, entered, units)).astype(np.int32)
    if not doubled:
        return arcs.take(target=target)
    twice = np.repeat(np.arange(len(arcs), dtype=np.int32), 2)
    return arcs.take(twice, target=np.stack([target, blank[arcs.target]], axis=1).flatten())


def _leave(arcs: Arcs, state: np.ndarray, owner: np.ndarray, last: np.ndarray) -> Arcs:
    """The arcs that leave some states: their owners', without those of the last unit."""
    first, after = (np.searchsorted(arcs.source, owner, side=side) for side in ("left", "right"))
    which = np.repeat(first, after - first) + count_up(after - first)
    source = np.repeat(np.arange(len(state)), after - first)
    differ = arcs.unit[which] != last[source]
    return arcs.take(which[differ], source=state[source[differ]])

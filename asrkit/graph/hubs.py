"""Hubs: states that many units lead to and from, such as the empty history, without a copy for each unit."""

import dataclasses

import numpy as np

from asrkit.graph.arcs import Arcs, join_arcs, refuse_overflow
from asrkit.lm.pairs import pair_keys

SHARES = 12  # that a hub's units are dealt into: a search looks at all arcs about that often, not once a unit
FEWEST = 48  # units that lead to a hub, and arcs from it


@dataclasses.dataclass(frozen=True)
class Hubs:
    """States in this order: plain ones, rests of hubs, shares of hubs."""

    arcs: Arcs  # sorted by source
    final: np.ndarray  # (state,)
    rests: int  # the first of them, which have neither loop nor blank
    shares: int  # the first of them, each so far behind its rest
    hub: np.ndarray  # (share,)


def split_hubs(arcs: Arcs, final: np.ndarray, units: int, modified: bool) -> Hubs:
    """Deal the arcs of hubs, by their units, so that few states lead on from them after any unit.

    H makes a state for each unit that was last, with the arcs of all other units: for the empty history
    these are most of what a search looks at. Here what leads to a hub leads to the unit's share, which has
    the arcs of the share's units, and also to the rest, which has those of all others: none of them is
    the last unit, so that it is one state for all units of the share. The modified topology has no such
    copies, and no hubs.
    """
    states = len(final)
    hub = np.zeros(0, dtype=np.int32) if modified else _find_hubs(arcs, states, units)
    if not len(hub):
        return Hubs(arcs, final, states, states, hub)
    shares = states + len(hub) * SHARES
    refuse_overflow("HLG", 2 * shares - states, 0)
    number = np.full(states, -1, dtype=np.int32)
    number[hub] = states + np.arange(len(hub), dtype=np.int32) * SHARES
    into = np.flatnonzero(number[arcs.target] >= 0)
    rest = number[arcs.target[into]] + arcs.unit[into] % SHARES
    target = arcs.target.copy()
    target[into] = rest + (shares - states)
    entering = [dataclasses.replace(arcs, target=target), _choose(arcs, into, target=rest)]
    parts = [*entering]
    for part in entering:
        away = np.flatnonzero(number[part.source] >= 0)
        for share in range(SHARES):
            inside = part.unit[away] % SHARES == share
            for some, first in ((away[~inside], 0), (away[inside], shares - states)):
                source = number[part.source[some]] + np.int32(first + share)
                parts.append(_choose(part, some, source=source))
    finals = [final, np.full(shares - states, -np.inf, dtype=np.float32), np.repeat(final[hub], SHARES)]
    return Hubs(join_arcs(parts), np.concatenate(finals), states, shares, np.repeat(hub, SHARES))


def _find_hubs(arcs: Arcs, states: int, units: int) -> np.ndarray:
    """The states with at least FEWEST arcs, and as many units that lead there."""
    wide = np.bincount(arcs.source, minlength=states) >= FEWEST
    into = np.flatnonzero(wide[arcs.target])
    pairs = np.unique(pair_keys(arcs.target[into], arcs.unit[into], units))
    return np.flatnonzero(np.bincount(pairs // units, minlength=states) >= FEWEST).astype(np.int32)


def _choose(arcs: Arcs, which: np.ndarray, **columns: np.ndarray) -> Arcs:
    """Some of the arcs, with other `columns`."""
    values = {field.name: getattr(arcs, field.name)[which] for field in dataclasses.fields(Arcs)}
    return Arcs(**{**values, **columns})

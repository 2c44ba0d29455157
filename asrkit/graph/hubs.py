"""Hubs: states that many units lead to and from, such as the empty history.

H copies a state for each unit that may come last, because that unit needs a blank before it is repeated. A
hub with U units has U copies of almost U arcs each, and the search visits them in every frame. Instead, the
units are dealt into SHARES. With units 1 to 4 and two shares, odd and even, these may follow unit 3:

    plain   (hub, 3)            1, 2, 4     four such copies with three units: 12
    split   rest of odd         2, 4        two such rests, each for all last units of its share: 4
            (share of odd, 3)   1           four such copies with one unit: 4

A rest has only units of other shares than the last one's, which is why it needs no copies.
"""

import dataclasses

import numpy as np

from asrkit.graph.arcs import Arcs, join_arcs, refuse_overflow
from asrkit.lm.model import pair_keys

SHARES = 12  # the search visits a hub's arcs about this often, not once per unit
FEWEST = 48  # units that lead to a hub, and arcs that leave it


@dataclasses.dataclass(frozen=True)
class Hubs:
    """LG with split hubs; its states are in this order: plain ones, rests of hubs, shares of hubs."""

    arcs: Arcs  # sorted by source
    final: np.ndarray  # (state,)
    rests: int  # the first rest; rests have neither loop nor blank
    shares: int  # the first share; shares are in the order of their rests
    hub: np.ndarray  # (share,) the state that was split


def split_hubs(arcs: Arcs, final: np.ndarray, units: int, modified: bool) -> Hubs:
    """Split the hubs of LG; its arcs are sorted by source, and `units` counts the blank.

    An arc to a hub becomes two: to the share and to the rest of its unit. The modified topology makes no
    copies per unit, and so needs no hubs.
    """
    states = len(final)
    hub = np.zeros(0, dtype=np.int32) if modified else _find_hubs(arcs, states, units)
    if not len(hub):
        return Hubs(arcs, final, states, states, hub)
    shares = states + len(hub) * SHARES
    refuse_overflow("HLG", 2 * shares - states)
    number = np.full(states, -1, dtype=np.int32)  # a hub's first rest
    number[hub] = states + np.arange(len(hub), dtype=np.int32) * SHARES
    into = np.flatnonzero(number[arcs.target] >= 0)
    rest = number[arcs.target[into]] + arcs.unit[into] % SHARES
    target = arcs.target.copy()
    target[into] = rest + (shares - states)
    entering = [arcs.take(target=target), arcs.take(into, target=rest)]
    parts = [*entering]
    for part in entering:
        away = np.flatnonzero(number[part.source] >= 0)
        for share in range(SHARES):
            inside = part.unit[away] % SHARES == share
            for some, first in ((away[~inside], 0), (away[inside], shares - states)):
                parts.append(part.take(some, source=number[part.source[some]] + np.int32(first + share)))
    finals = [final, np.full(shares - states, -np.inf, dtype=np.float32), np.repeat(final[hub], SHARES)]
    return Hubs(join_arcs(parts), np.concatenate(finals), states, shares, np.repeat(hub, SHARES))


def _find_hubs(arcs: Arcs, states: int, units: int) -> np.ndarray:
    wide = np.bincount(arcs.source, minlength=states) >= FEWEST
    into = np.flatnonzero(wide[arcs.target])
    pairs = np.unique(pair_keys(arcs.target[into], arcs.unit[into], units))
    return np.flatnonzero(np.bincount(pairs // units, minlength=states) >= FEWEST).astype(np.int32)

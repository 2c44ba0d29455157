"""Optional silence before, between and after words."""

from typing import NamedTuple, Optional, Sequence, Tuple

import numpy as np

from asrkit.config.symbols import BLANK, NO_WORD
from asrkit.graph.arcs import Arcs, join_arcs, make_arcs, refuse_overflow


class OptionalSilence(NamedTuple):
    """A unit that may occur before the first word and after each word."""

    unit: int
    probability: float


def add_silence(arcs: Arcs, final: np.ndarray, silence: OptionalSilence) -> Tuple[Arcs, np.ndarray]:
    """LG with optional silence, from LG with start state 0, and its final scores (state,).

    It has the paths of a lexicon with a silence state, as in Kaldi and icefall, without the epsilons:

        word end -> h    becomes   word end -> h (1 - p)   and   word end -> h' (p), h' -SIL-> h
        start            becomes   start (1 - p), which can't be reached again, and start -SIL-> its copy (p)
    """
    absent, present = np.log([1 - silence.probability, silence.probability]).astype(np.float32)
    ends = arcs.word != NO_WORD
    reached, number = np.unique(arcs.target[ends], return_inverse=True)
    copy = len(final) + len(reached)  # of the start
    refuse_overflow("LG with silence", copy + 1)
    before = np.arange(len(final), copy, dtype=np.int32)  # the states h'
    ended = arcs.take(ends)
    spoken = join_arcs(
        [
            arcs.take(score=arcs.score + absent * ends),
            ended.take(target=before[number], score=ended.score + present),
            make_arcs(before, reached, silence.unit),
        ]
    )
    first = spoken.source == 0
    copied = spoken.take(first)
    spoken.target[spoken.target == 0] = copied.target[copied.target == 0] = copy
    start = np.zeros(1, dtype=np.int32)
    joined = join_arcs(
        [
            spoken.take(score=spoken.score + absent * first),
            copied.take(source=np.full_like(copied.source, copy)),
            make_arcs(start, start + copy, silence.unit, score=present),
        ]
    )
    last = np.concatenate([final, np.full(len(reached), -np.inf, dtype=np.float32), final[:1]])
    last[0] += absent
    return joined, last


def find_silence(table: np.ndarray, words: np.ndarray, spellings: Sequence[Sequence[int]]) -> Optional[int]:
    """Find the unit of optional silence in HLG; None if there is none.

    `table` (arc, [source, target, unit, score bits]), `words` (arc,); `spellings`: units of each
    pronunciation of the lexicon. If a unit forms whole pronunciations and occurs in no longer ones, each of
    its occurrences begins with an arc that outputs a word. Optional silence is such a unit, but outputs none.
    """
    alone = {spelling[0] for spelling in spellings if len(spelling) == 1}
    alone -= {unit for spelling in spellings if len(spelling) > 1 for unit in spelling} | {BLANK}
    chosen = np.isin(table[:, 2], list(alone))
    source, target, unit = table[chosen, :3].astype(np.int64).T
    state = source * (1 + int(table[:, 2].max())) + unit  # a source and a unit, as one number
    goes_on = np.isin(state, state[source == target])  # a self-loop: here the unit doesn't begin
    found = unit[(words[chosen] == NO_WORD) & ~goes_on]
    return int(found[0]) if len(found) else None

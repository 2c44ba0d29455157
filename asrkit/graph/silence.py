"""Optional silence before, between and after words."""

import dataclasses
from typing import NamedTuple, Tuple

import numpy as np

from asrkit.graph.arcs import NO_WORD, Arcs, join_arcs, refuse_overflow


class OptionalSilence(NamedTuple):
    """A unit that may be before the first word and after each word."""

    unit: int
    probability: float


def add_silence(arcs: Arcs, final: np.ndarray, silence: OptionalSilence) -> Tuple[Arcs, np.ndarray]:
    """LG with optional silence, of LG whose state 0 is the start, and its final scores (state,).

    The paths of a lexicon drawn with a state for silence, as Kaldi's and icefall's are, without its
    epsilons: what ends a word in a state may also end it before that state's silence, and the start is
    followed by its copy, at once or by way of silence. Words may lead to that copy, never to the start.
    """
    absent, present = np.log([1 - silence.probability, silence.probability]).astype(np.float32)
    ends = arcs.word != NO_WORD
    reached, number = np.unique(arcs.target[ends], return_inverse=True)
    copy = len(final) + len(reached)  # of the start
    refuse_overflow("L composed with G, with silence", copy + 1, len(arcs) + int(ends.sum()) + len(reached))
    before = np.arange(len(final), copy, dtype=np.int32)  # the states before silence
    ended = arcs[ends]
    nothing = np.zeros(len(reached), dtype=np.float32)
    spoken = join_arcs(
        [
            dataclasses.replace(arcs, score=arcs.score + absent * ends),
            dataclasses.replace(ended, target=before[number], score=ended.score + present),
            _silent(before, reached, silence.unit, nothing),
        ]
    )
    first = spoken.source == 0
    copied = spoken[first]
    spoken.target[spoken.target == 0] = copied.target[copied.target == 0] = copy
    start = np.zeros(1, dtype=np.int32)
    joined = join_arcs(
        [
            dataclasses.replace(spoken, score=spoken.score + absent * first),
            dataclasses.replace(copied, source=np.full_like(copied.source, copy)),
            _silent(start, start + copy, silence.unit, start + present),
        ]
    )
    last = np.concatenate([final, np.full(len(reached), -np.inf, dtype=np.float32), final[:1]])
    last[0] += absent
    return joined, last


def _silent(source: np.ndarray, target: np.ndarray, unit: int, score: np.ndarray) -> Arcs:
    units, nothing = np.full_like(source, unit), np.full_like(source, NO_WORD)
    return Arcs(source, target, units, nothing, score.astype(np.float32))

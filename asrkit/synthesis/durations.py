"""Durations of units in feature frames, from the recogniser's own forced alignment.

CTC gives a unit in few frames; where in its sound they lie depends on the model. The blanks between two units
are therefore shared by them, and pauses, where the recording is quiet, are units of their own (BLANK):

    frames    0 1 2 3 4 5 6 7
    path      - - C - A T T -      C: 2 to 2, A: 4 to 4, T: 5 to 6
    quiet     # # . . . . . #
    durations pause 2, C 2, A 1, T 2, pause 1
"""

import dataclasses
from typing import Any, Iterator, List, Sequence, Tuple

import numpy as np

from asrkit.config.symbols import BLANK
from asrkit.decode.posteriors import encode_cuts
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel, subsampling
from asrkit.recognise.forced_alignment import align_tokens, snap_to_pauses
from asrkit.recognise.transcript import Word
from asrkit.signal.features import read_speed_perturbed
from asrkit.text.units import Units

SHARE_AFTER = 0.5  # of the blanks after a unit that belong to it; the network sees the neighbours anyway


@dataclasses.dataclass(frozen=True)
class TimedUnits:
    """Units of an utterance with pauses (BLANK) at both ends and between words, and the frames of each."""

    speaker: str
    units: List[int]
    frames: List[int]


def align_cuts(
    model: AcousticModel, units: Units, cuts: Sequence[Any], batch_duration: float, rate: int
) -> Iterator[Tuple[Any, TimedUnits]]:
    """Each cut with its durations, or with none (empty lists) if its text can't be aligned.

    `cuts`: the longest first; all their words have units. `batch_duration`: seconds per batch; `rate`: Hz
    of the features' audio.
    """
    step = subsampling(model.config)
    for cut, _, log_probs in encode_cuts(model, cuts, batch_duration):
        speaker = cut.supervisions[0].speaker or ""
        words = [units.encode(word) for word in cut.supervisions[0].text.split()]
        ((_, samples),) = read_speed_perturbed(cut, (1.0,), rate)
        seconds = cut.features.frame_shift
        try:
            spans = align_tokens(log_probs.numpy(), [unit for word in words for unit in word])
            edges = share_blanks([(step * a, step * (b + 1)) for a, b in spans], cut.num_frames)
            timed = time_units(words, edges, samples, rate, seconds, cut.num_frames)
        except UserError:
            timed = ([], [])
        yield cut, TimedUnits(speaker, *timed)


def share_blanks(spans: Sequence[Tuple[int, int]], frames: int) -> List[int]:
    """Where each unit begins and, last, where the last one ends, of [first, end) spans in `frames` frames."""
    inner = [round(a + SHARE_AFTER * (b - a)) for (_, a), (b, _) in zip(spans, spans[1:])]
    return [0, *inner, frames]


def time_units(
    words: Sequence[Sequence[int]],
    edges: Sequence[int],
    samples: np.ndarray,
    rate: int,
    seconds: float,
    frames: int,
) -> Tuple[List[int], List[int]]:
    """Units and frames, with pauses where samples (sample,) of `rate` Hz are quiet beside a word's edge.

    `edges`: of all units, as share_blanks gives them; `seconds`: per frame. A word that would have fewer
    frames than units between its pauses keeps all of its frames.
    """
    first, coarse = 0, []
    for word in words:
        start, end = edges[first] * seconds, edges[first + len(word)] * seconds
        coarse.append(Word("", start, end - start, 1.0))
        first += len(word)
    found_units: List[int] = []
    found_frames: List[int] = []
    place = first = 0
    for word, timed in zip(words, snap_to_pauses(coarse, samples, rate)):
        latest = edges[first + len(word)]
        start = max(place, min(round(timed.start / seconds), frames))
        end = min(round(timed.end / seconds), latest)
        if end - start < len(word):
            start, end = place, latest
        if start > place:
            found_units.append(BLANK)
            found_frames.append(start - place)
        cuts = [start]
        for index in range(1, len(word)):
            low, high = cuts[-1] + 1, end - (len(word) - index)
            cuts.append(min(max(edges[first + index], low), high))
        found_units += list(word)
        found_frames += [b - a for a, b in zip(cuts, [*cuts[1:], end])]
        place, first = end, first + len(word)
    if place < frames:
        found_units.append(BLANK)
        found_frames.append(frames - place)
    return found_units, found_frames

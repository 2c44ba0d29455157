"""If a word was as quiet as a pause, asrkit align cut it from both sides to almost no duration."""

from typing import List, Tuple

import numpy as np
import pytest

from asrkit.recognise.forced_alignment import snap_to_pauses
from asrkit.recognise.transcript import Word

RATE = 16000


def recording(*parts: Tuple[float, float]) -> np.ndarray:
    """Noise of parts of (seconds, decibels)."""
    generator = np.random.default_rng(0)
    return np.concatenate(
        [10 ** (level / 20) * generator.normal(size=round(seconds * RATE)) for seconds, level in parts]
    )


def times(words: List[Word]) -> List[Tuple[float, float]]:
    return [(round(word.start, 2), round(word.end, 2)) for word in words]


BY_CTC = [Word("big", 0.5, 0.6, 0.9), Word("the", 1.1, 0.3, 0.9), Word("dog", 1.4, 0.6, 0.9)]
NOISE, LOUD, QUIET = -40.0, -16.0, -36.0


@pytest.mark.parametrize(
    "quiet",
    [
        [(0.3, QUIET)],
        [(0.14, QUIET), (0.02, LOUD), (0.14, QUIET)],  # with a moment of sound in its middle
        [(0.02, LOUD), (0.28, QUIET)],  # beside a word that ends late
    ],
)
def test_a_quiet_word_keeps_its_times(quiet: List[Tuple[float, float]]) -> None:
    samples = recording((0.5, NOISE), (0.6, LOUD), *quiet, (0.6, LOUD), (0.5, NOISE))
    found = snap_to_pauses(BY_CTC, samples, RATE)
    assert times(found)[1][1] == 1.4 and times(found)[1][0] == pytest.approx(1.1, abs=0.03)
    assert times(found)[0][0] == 0.5 and times(found)[2] == (1.4, 2.0)


def test_the_pause_beside_a_quiet_word_is_still_found() -> None:
    samples = recording((0.5, NOISE), (0.3, LOUD), (0.6, QUIET), (0.6, LOUD), (0.5, NOISE))
    assert times(snap_to_pauses(BY_CTC, samples, RATE)) == [(0.5, 0.8), (1.1, 1.4), (1.4, 2.0)]


def test_a_quiet_word_at_the_end_of_the_recording_keeps_its_times() -> None:
    samples = recording((0.5, NOISE), (0.6, LOUD), (0.8, QUIET))
    assert times(snap_to_pauses(BY_CTC[:2], samples, RATE)) == [(0.5, 1.1), (1.1, 1.4)]

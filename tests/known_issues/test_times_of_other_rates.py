"""Times of aligned words drifted at 22,050 and 11,025 Hz, where 10 ms isn't a whole number of samples."""

import numpy as np
import pytest

from asrkit.recognise.forced_alignment import snap_to_pauses
from asrkit.recognise.transcript import Word

SECONDS = 120  # a word in each, from 0.3 to 0.7


@pytest.mark.parametrize("rate", [16000, 22050, 11025, 44100])
def test_word_times_are_right_up_to_the_end(rate: int) -> None:
    generator = np.random.default_rng(0)
    samples = 1e-4 * generator.normal(size=SECONDS * rate)
    for second in range(SECONDS):
        first, end = round((second + 0.3) * rate), round((second + 0.7) * rate)
        samples[first:end] += 0.3 * generator.normal(size=end - first)
    by_ctc = [Word(str(second), second + 0.28, 0.44, 0.9) for second in range(SECONDS)]
    for second, word in enumerate(snap_to_pauses(by_ctc, samples, rate)):
        assert word.start == pytest.approx(second + 0.3, abs=0.015)
        assert word.end == pytest.approx(second + 0.7, abs=0.015)


def test_silence_at_the_end_of_the_recording_is_found() -> None:
    rate = 22050
    samples = np.concatenate([0.3 * np.random.default_rng(0).normal(size=30 * rate), np.zeros(rate // 20)])
    (word,) = snap_to_pauses([Word("a", 0.0, len(samples) / rate, 0.9)], samples, rate)
    assert word.end == pytest.approx(30.0, abs=0.015)  # shorter than pauses between words must be

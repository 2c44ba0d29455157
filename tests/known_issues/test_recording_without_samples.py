"""A WAV file without samples ended `asrkit transcribe` and a worker of the server with a RuntimeError."""

import numpy as np
import pytest

from asrkit.config.recipe import FeaturesConfig
from asrkit.errors import AudioProblem, UserError
from asrkit.recognise.recognizer import Greedy, Recognizer
from asrkit.recognise.segmentation import SegmentOptions
from asrkit.signal.audio import resample
from asrkit.signal.filterbank import FilterBank
from tests.train.tiny import UNITS

NOTHING = np.empty(0, np.float32)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_no_samples_are_resampled_to_none(rate: int) -> None:
    assert resample(NOTHING, rate, 16000).shape == (0,)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_recording_without_samples_has_no_words(rate: int) -> None:
    def encoder(*_: object) -> None:
        raise AssertionError("there is nothing to encode")

    bank = FilterBank(FeaturesConfig(sampling_rate=16000))
    recognizer = Recognizer(bank, encoder, Greedy(UNITS, 0.04), UNITS, 0.04)  # type: ignore[arg-type]
    assert recognizer.transcribe((NOTHING, rate), SegmentOptions(whole=True)).text == ""
    with pytest.raises(UserError, match="too short"):
        recognizer.align(NOTHING, rate, "a")
    with pytest.raises(AudioProblem, match="too short"):
        bank.extract(NOTHING)

"""Features of a stream are those of the whole recording."""

from typing import List

import numpy as np
import pytest

from asrkit.config import FeaturesConfig
from asrkit.config.recipe import DcConfig
from asrkit.errors import UserError
from asrkit.signal.feature_stream import FeatureStream
from asrkit.signal.filterbank import STEPS, FilterBank


def stream(bank: FilterBank, pieces: List[np.ndarray]) -> np.ndarray:
    features = FeatureStream(bank)
    return np.concatenate([*map(features.accept, pieces), features.finish()])


@pytest.mark.parametrize(("rate", "bins"), [(16000, 80), (8000, 40)])
def test_frames_equal_those_of_the_whole_recording(rate: int, bins: int) -> None:
    random = np.random.default_rng(0)
    bank = FilterBank(FeaturesConfig(sampling_rate=rate, bins=bins))
    for count in (rate // 40, 1000, 1039, 1040, 1041, 1119, 5203):
        samples = random.normal(0, 0.1, count).astype(np.float32)
        whole = bank.extract(samples)
        for cuts in ([], [1], [count // 2], [count - 1], range(100, count, 100), range(7, count, 7)):
            found = stream(bank, np.split(samples, list(cuts)))
            assert found.shape == whole.shape
            assert np.abs(found - whole).max() <= 1 / STEPS  # of the rounding
            assert (found != whole).mean() < 1e-3


def test_less_than_a_frame_has_no_features() -> None:
    bank = FilterBank(FeaturesConfig())
    assert stream(bank, []).shape == (0, 80)
    assert stream(bank, [np.zeros(200, np.float32)] * 1).shape == (0, 80)


def test_steps_for_whole_recordings_are_refused() -> None:
    with pytest.raises(UserError, match="need the whole recording"):
        FeatureStream(FilterBank(FeaturesConfig(), (DcConfig(),)))

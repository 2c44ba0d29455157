"""Clipping turned speech with much digital silence into silence, because its limit was 0."""

import numpy as np

from asrkit.config import ClippingConfig
from asrkit.signal.degradation import Clipping
from tests.corpus.sound import noise

RATE = 16000


def clip(samples: np.ndarray, share: float = 0.1) -> np.ndarray:
    settings = ClippingConfig(share=(share, share))
    return Clipping(settings, RATE)(samples, np.random.default_rng(0), "u")


def test_padded_speech_is_clipped_as_speech_alone() -> None:
    speech = noise(0.25, 1).astype(np.float32)
    padded = np.concatenate([speech, np.zeros(4 * RATE, dtype=np.float32)])
    np.testing.assert_array_equal(clip(padded)[: len(speech)], clip(speech))
    assert np.isclose((np.abs(clip(speech)) == np.abs(clip(speech)).max()).mean(), 0.1, atol=0.01)


def test_sparse_clicks_and_silence_stay() -> None:
    clicks = np.zeros(RATE, dtype=np.float32)
    np.testing.assert_array_equal(clip(clicks), clicks)
    clicks[::100] = 0.5
    np.testing.assert_array_equal(clip(clicks), clicks)

"""The condition "MP3 at 16 kbit/s" had 8 kbit/s at 8 kHz, and augment.codec.compression: [1, 1] failed in
libsndfile."""

import io

import numpy as np
import pytest
import soundfile

from asrkit.config import CodecConfig
from asrkit.signal.conditions import make_conditions
from asrkit.signal.degradation import FORMATS, ThroughCodec
from tests.corpus.sound import noise

SECONDS = 5.0


@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_condition_has_the_bit_rate_of_its_name(rate: int) -> None:
    (condition,) = (each for each in make_conditions(rate) if each.name == "MP3 at 16 kbit/s")
    (transform,) = condition.transforms
    assert isinstance(transform, ThroughCodec)
    encoded, (level, _) = io.BytesIO(), transform.settings.compression
    soundfile.write(encoded, noise(SECONDS, 1, rate), rate, **FORMATS["mp3"], compression_level=level)
    assert len(encoded.getvalue()) * 8 / SECONDS == pytest.approx(16_000, rel=0.05)


@pytest.mark.parametrize("codec", ["mp3", "opus"])
def test_speech_of_the_highest_compression_is_decoded(codec: str) -> None:
    speech = noise(1.0, 1).astype(np.float32)
    settings = CodecConfig(codecs=(codec,), compression=(1.0, 1.0))  # type: ignore[arg-type]
    decoded = ThroughCodec(settings, 16000)(speech, np.random.default_rng(0), "u")
    assert decoded.shape == speech.shape and decoded.any()

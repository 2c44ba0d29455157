"""Conditions of asrkit robustness: seeded, of the length and ratio that they name."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asrkit.errors import UserError
from asrkit.signal.conditions import Condition, make_conditions
from asrkit.signal.degradation import Speech

RATE = 16000
SPEECH = (np.random.default_rng(0).normal(size=2 * RATE) * np.hanning(2 * RATE) * 0.1).astype(np.float32)


@pytest.fixture
def conditions(tmp_path: Path) -> "dict[str, Condition]":
    random = np.random.default_rng(1)
    padded = np.concatenate([random.normal(size=RATE) * 0.3, np.zeros(4 * RATE)])
    for name, samples, rate in (
        ("noise/rain/a.ogg", padded, RATE),
        ("noise/rain/b.wav", random.normal(size=8000) * 0.3, 8000),
        ("noise/sea.flac", random.normal(size=RATE) * 0.3, RATE),
        ("rooms/hall.flac", np.concatenate([np.zeros(400), [0.9], random.normal(size=4000) * 0.02]), RATE),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, samples, rate)
    speech = Speech(["u", "u1", "u2", "u3"], lambda id: id[:2], lambda id: SPEECH)
    made = make_conditions(RATE, tmp_path / "noise", tmp_path / "rooms", speech)
    return {each.name: each for each in made}


def test_every_condition_is_seeded_and_keeps_the_length(conditions: "dict[str, Condition]") -> None:
    names = {
        "clean",
        "rain 5 dB",
        "sea 0 dB",
        "babble 20 dB",
        "rumble 10 dB",
        "50 Hz hum 0 dB",
        "rooms",
        "RT60 1 s",
    }
    assert names < set(conditions)
    assert len(conditions) == 1 + 3 * 4 + 4 * 2 + 1 + 3 + 6
    for name, condition in conditions.items():
        degraded = condition(SPEECH, 1, "u1")
        assert degraded.dtype == np.float32 and np.isfinite(degraded).all()
        assert np.array_equal(degraded, condition(SPEECH, 1, "u1")), name
        wanted = len(SPEECH) * {"speed 0.8": 1.25, "speed 1.2": 1 / 1.2}.get(name, 1)
        assert abs(len(degraded) - wanted) <= 2, name
        assert name == "clean" or len(degraded) != len(SPEECH) or not np.array_equal(degraded, SPEECH), name
    rain = conditions["rain 5 dB"]
    assert not np.array_equal(rain(SPEECH, 1, "u1"), rain(SPEECH, 1, "u2"))
    assert not np.array_equal(rain(SPEECH, 1, "u1"), rain(SPEECH, 2, "u1"))


@pytest.mark.parametrize("name", ["rain 20 dB", "sea 0 dB", "babble 10 dB", "rumble 0 dB", "hiss 10 dB"])
def test_noise_has_the_ratio_that_it_names(conditions: "dict[str, Condition]", name: str) -> None:
    condition = conditions[name]
    noise = condition(SPEECH, 1, "u") - SPEECH
    ratio = 10 * np.log10(np.square(SPEECH).mean() / np.square(noise).mean())
    assert ratio == pytest.approx(condition.snr, abs=0.1)


def test_rumble_is_low_hiss_is_high_and_clipping_limits(conditions: "dict[str, Condition]") -> None:
    for name, low in (("rumble 0 dB", True), ("50 Hz hum 0 dB", True), ("hiss 0 dB", False)):
        power = np.abs(np.fft.rfft(conditions[name](SPEECH, 1, "u") - SPEECH)) ** 2
        below = power[: len(power) // 4].sum() / power.sum()  # 2 kHz
        assert below > 0.95 if low else below < 0.05
    clipped = np.abs(conditions["clipping"](SPEECH, 1, "u"))
    assert (clipped == clipped.max()).mean() == pytest.approx(0.1, abs=0.01)


def test_a_folder_without_audio_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--noise: no audio file there") as caught:
        make_conditions(RATE, noise=tmp_path)
    assert caught.value.where == str(tmp_path)

"""signal.steps: filters and denoisers before the features."""

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from asrkit.config import load_config
from asrkit.config.recipe import (
    DcConfig,
    DenoiseConfig,
    DereverberateConfig,
    FeaturesConfig,
    HighPassConfig,
    LowPassConfig,
    NotchConfig,
)
from asrkit.corpus.audio import open_audio, read_blocks
from asrkit.errors import UserError
from asrkit.signal.filterbank import FilterBank
from asrkit.signal.steps import PACKAGES, apply_steps, require_packages

RATE = 16000
TIME = np.arange(2 * RATE) / RATE


def tone(hertz: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * TIME)).astype(np.float32)


def decibels(signal: np.ndarray) -> float:
    """Level of the second half, after filters have settled."""
    return float(10 * np.log10(np.mean(np.square(signal[RATE:], dtype=np.float64)) + 1e-12))


@pytest.mark.parametrize(
    ("step", "hertz", "change"),
    [
        (HighPassConfig(), 20, -40),
        (HighPassConfig(), 500, 0),
        (LowPassConfig(hertz=2000), 6000, -35),
        (LowPassConfig(hertz=2000), 500, 0),
        (NotchConfig(), 50, -40),
        (NotchConfig(), 150, -40),  # a harmonic
        (NotchConfig(), 75, 0),
        (NotchConfig(hertz=60), 60, -40),
    ],
)
def test_filters_remove_what_they_name_and_nothing_else(step: Any, hertz: float, change: float) -> None:
    pytest.importorskip("scipy")
    signal = tone(hertz)
    found = decibels(apply_steps(signal, RATE, [step])) - decibels(signal)
    assert found < change if change else abs(found) < 0.5


def test_steps_act_in_order_and_dc_is_removed() -> None:
    signal = tone(300) + np.float32(0.2)
    assert abs(apply_steps(signal, RATE, [DcConfig()]).mean()) < 1e-6
    assert apply_steps(signal, RATE, []) is signal


@pytest.fixture(scope="session")
def speech(corpora: Callable[[str], Path]) -> np.ndarray:
    file = sorted((corpora("librispeech") / "LibriSpeech" / "test-clean").glob("*/*/*.flac"))[0]
    with open_audio(file) as sound:
        return np.concatenate(list(read_blocks(sound, 0, 5 * RATE)))


@pytest.mark.parametrize("by", list(PACKAGES))
def test_denoisers_lower_noise_and_keep_speech_in_its_place(by: Any, speech: np.ndarray) -> None:
    pytest.importorskip(PACKAGES[by][0])
    noise = np.random.default_rng(1).normal(0, 0.02, len(speech)).astype(np.float32)
    full = DenoiseConfig(by=by, mix=1)
    assert decibels(apply_steps(noise, RATE, [full])) < decibels(noise) - 6
    denoised = apply_steps(speech, RATE, [full])
    assert len(denoised) == len(speech) and denoised.dtype == np.float32
    shifts = range(-40, 41)
    best = max(shifts, key=lambda shift: float(np.dot(np.roll(denoised, shift), speech)))
    assert abs(best) <= 8  # samples, half a millisecond
    assert apply_steps(speech, RATE, [DenoiseConfig(by=by, mix=0)]) == pytest.approx(speech)
    assert np.array_equal(denoised, apply_steps(speech, RATE, [full]))


def test_dereverberation_shortens_the_tail_of_a_room(speech: np.ndarray) -> None:
    pytest.importorskip("nara_wpe")
    decay = np.exp(-np.arange(8000) / 1500) * np.random.default_rng(0).normal(size=8000)
    room = np.convolve(speech, np.concatenate([[8.0], np.zeros(800), decay]))[: len(speech)] / 20
    cleaned = apply_steps(room.astype(np.float32), RATE, [DereverberateConfig()])
    bank = FilterBank(FeaturesConfig())

    def distance(signal: np.ndarray) -> float:
        features, clean = bank.extract(signal.astype(np.float32)), bank.extract(speech)
        difference = features - clean
        return float(np.abs(difference - np.median(difference)).mean())

    assert distance(cleaned) < distance(room)


def test_a_missing_package_is_named_before_any_stage_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs pyrnnoise") as caught:
        require_packages([DcConfig(), DenoiseConfig(by="rnnoise")])
    assert "[denoise]" in caught.value.todo


def test_the_filter_bank_applies_the_steps_of_recipe_yaml(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    text = "name: x\ncorpus: {module: tsv}\nsignal:\n  steps: [{kind: high_pass, hertz: 1000}, {kind: dc}]\n"
    (tmp_path / "recipe.yaml").write_text(text)
    config = load_config(tmp_path / "recipe.yaml")
    filtered = FilterBank(config.features, config.signal.steps).extract(tone(200))
    assert filtered[100:].mean() < FilterBank(config.features).extract(tone(200))[100:].mean() - 1
    with pytest.raises(UserError, match="high_pas"):
        load_config(tmp_path / "recipe.yaml", assignments=["signal.steps=[{kind: high_pas}]"])

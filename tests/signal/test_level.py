"""Level, clipping and silence of signals whose values are known."""

import numpy as np
import pytest

from asrkit.signal.level import measure_level

RATE = 16000


def tone(seconds: float, amplitude: float) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * 440 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def test_a_sine_of_half_scale_is_nine_decibels_below_full_scale() -> None:
    level = measure_level(tone(1, 0.5), RATE)
    assert level.decibels == pytest.approx(-9.03, abs=0.01)
    assert (level.clipped, level.silence) == (0.0, 0.0)


def test_the_fraction_of_samples_at_full_scale_is_clipped() -> None:
    samples = np.clip(tone(1, 2.0), -1, 32767 / 32768)
    assert measure_level(samples, RATE).clipped == pytest.approx(2 / 3, abs=0.01)  # |sin| above a half


def test_silence_is_a_fraction_of_time_and_unaffected_by_a_click() -> None:
    samples = np.concatenate([tone(1, 0.1), tone(3, 0.0001)])
    assert measure_level(samples, RATE).silence == pytest.approx(0.75, abs=0.01)
    samples[100] = 1.0
    assert measure_level(samples, RATE).silence == pytest.approx(0.75, abs=0.01)


def test_sound_shorter_than_the_percentile_is_no_silence() -> None:
    samples = np.concatenate([tone(0.1, 0.1), np.zeros(RATE * 10, np.float32)])
    assert measure_level(samples, RATE).silence == pytest.approx(10 / 10.1, abs=0.001)


def test_less_audio_than_a_frame_is_measured() -> None:
    assert measure_level(tone(0.01, 0.5), RATE).decibels == pytest.approx(-9.03, abs=0.5)

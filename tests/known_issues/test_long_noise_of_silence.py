"""From noise with much silence, a silent segment could be drawn, so that speech "at 0 dB" had no noise."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asrkit.config.recipe import NoiseConfig
from asrkit.errors import UserError
from asrkit.signal.degradation import Noise
from asrkit.signal.level import without_silence
from asrkit.signal.recordings import WINDOW_SECONDS, Recordings, stretch

RATE = 8000


def write(file: Path, samples: np.ndarray) -> Recordings:
    soundfile.write(file, samples, RATE, subtype="FLOAT")
    return Recordings([file], RATE, "augment.noise.directory")


def make_noise(seconds: float, first: float, last: float, quiet: float = 0.0) -> np.ndarray:
    """Sound from `first` to `last` seconds, and the level `quiet` elsewhere."""
    random = np.random.default_rng(0)
    samples = quiet * random.normal(size=round(seconds * RATE)).clip(-3, 3)
    samples[round(first * RATE) : round(last * RATE)] = 0.1
    samples[round(first * RATE) : round(last * RATE) : 2] = -0.1
    return samples


@pytest.mark.parametrize("quiet", [0.0, 2e-5])  # digital silence, dither
@pytest.mark.parametrize(
    ("seconds", "first", "last"), [(40.0, 3.0, 5.0), (40.0, 39.0, 40.0), (33.0, 0.0, 0.4), (8.0, 6.0, 6.1)]
)
def test_every_utterance_has_noise_at_the_ratio_of_its_name(
    tmp_path: Path, seconds: float, first: float, last: float, quiet: float
) -> None:
    recordings = write(tmp_path / "door.wav", make_noise(seconds, first, last, quiet))
    noise = Noise(NoiseConfig(directory="x", snr=(0.0, 0.0)), RATE, recordings)
    random = np.random.default_rng(1)
    speech = (0.1 * random.normal(size=2 * RATE)).astype(np.float32)
    for _ in range(20):
        added = noise(speech, random, "u").astype(np.float64) - speech
        assert np.square(added).mean() == pytest.approx(np.square(speech).mean(), rel=1e-3)
        assert np.median(np.abs(added)) == pytest.approx(0.1, rel=0.2)  # the door, no silence or dither


def test_short_files_and_windows_with_sound_give_what_they_gave(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    for name, seconds in (("short", WINDOW_SECONDS), ("long", 3 * WINDOW_SECONDS)):
        samples = (0.1 * random.normal(size=round(seconds * RATE))).astype(np.float32)
        recordings = write(tmp_path / f"{name}.wav", samples)
        for seed in range(5):
            ours, before = np.random.default_rng(seed), np.random.default_rng(seed)
            before.integers(1)
            window = round(WINDOW_SECONDS * RATE)
            place = int(before.integers(len(samples) - window + 1))
            expected = stretch(without_silence(samples[place : place + window], RATE), RATE, before)
            assert np.array_equal(recordings.draw_segment(RATE, ours), expected)
            assert ours.integers(1 << 30) == before.integers(1 << 30)


def test_a_long_file_that_is_quiet_everywhere_is_used(tmp_path: Path) -> None:
    recordings = write(tmp_path / "quiet.wav", 1e-3 * make_noise(25.0, 3.0, 5.0))
    for seed in range(5):
        assert recordings.draw_segment(RATE, np.random.default_rng(seed)).any()


@pytest.mark.parametrize("seconds", [1.0, 25.0])
def test_a_silent_file_is_refused(tmp_path: Path, seconds: float) -> None:
    recordings = write(tmp_path / "silent.wav", np.zeros(round(seconds * RATE)))
    with pytest.raises(UserError, match=r"can't use .*silent\.wav: silence") as error:
        recordings.draw_segment(RATE, np.random.default_rng(0))
    assert error.value.todo == "fix or remove that file"

from pathlib import Path

import numpy as np
import pytest
from lhotse import Recording

from asrkit.config.recipe import FeaturesConfig
from asrkit.errors import UserError
from asrkit.signal.filterbank import FilterBank
from asrkit.signal.noise import add_noise, list_sounds, reverberate
from tests.corpus.sound import noise, write_audio

SPEECH = noise(1.0, 1).astype(np.float32)


def sound(folder: Path, samples: np.ndarray, rate: int = 16000) -> Recording:
    """A folder's only sound."""
    write_audio(folder / "deep" / "er" / "sound.WAV", samples, rate)
    (listed,) = list_sounds(folder, 16000, "train.noise.directory")
    return listed


@pytest.mark.parametrize("decibels", [-5.0, 0.0, 17.3])
@pytest.mark.parametrize(
    ("seconds", "rate", "channels"),
    [(3.0, 16000, 1), (0.3, 16000, 1), (1.7, 44100, 2)],
    ids=["long", "short", "other"],
)
def test_the_ratio_is_the_one_asked_for(
    tmp_path: Path, decibels: float, seconds: float, rate: int, channels: int
) -> None:
    recording = sound(tmp_path, noise(seconds, 2, rate, channels), rate)
    added = add_noise(SPEECH, recording, decibels, np.random.default_rng(0)) - SPEECH
    assert added.shape == SPEECH.shape
    ratio = 10 * np.log10(np.mean(SPEECH.astype(np.float64) ** 2) / np.mean(added.astype(np.float64) ** 2))
    assert ratio == pytest.approx(decibels, abs=0.01)


def test_another_part_of_the_noise_is_heard_each_time(tmp_path: Path) -> None:
    recording = sound(tmp_path, noise(3.0, 2))
    random = np.random.default_rng(0)
    first, second = (add_noise(SPEECH, recording, 0.0, random) for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(add_noise(SPEECH, recording, 0.0, np.random.default_rng(0)), first)


def test_the_response_of_an_impulse_changes_nothing(tmp_path: Path) -> None:
    impulse = np.zeros(4000)
    impulse[100] = 0.5  # sound takes its time to get through a room
    heard = reverberate(SPEECH, sound(tmp_path, impulse))
    np.testing.assert_allclose(heard, SPEECH, atol=1e-6)
    bank = FilterBank(FeaturesConfig())
    assert np.abs(bank.extract_steps(heard).astype(int) - bank.extract_steps(SPEECH)).max() <= 1


def test_an_echo_comes_after_its_delay_and_the_whole_is_as_loud_as_before(tmp_path: Path) -> None:
    response = np.zeros((2000, 2))
    response[[50, 850], 0] = 0.8, 0.4
    response[:, 1] = 0.1  # a second microphone, which isn't used
    heard = reverberate(SPEECH, sound(tmp_path, response))
    expected = SPEECH + np.concatenate([np.zeros(800), 0.5 * SPEECH[:-800]])
    expected *= np.sqrt(np.mean(SPEECH**2) / np.mean(expected**2))
    np.testing.assert_allclose(heard, expected, atol=1e-5)


def test_folders_and_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.rooms\.directory: no such folder"):
        list_sounds(tmp_path / "none", 16000, "train.rooms.directory")
    (tmp_path / "README").write_text("no sound")
    with pytest.raises(UserError, match="no WAV or FLAC file there") as caught:
        list_sounds(tmp_path, 16000, "train.rooms.directory")
    assert "WAV or FLAC" in caught.value.expected and caught.value.where == str(tmp_path)
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(UserError, match=r"can't use .*text\.wav"):
        list_sounds(tmp_path, 16000, "train.noise.directory")


def test_a_silent_room_and_a_file_that_went_are_named(tmp_path: Path) -> None:
    recording = sound(tmp_path, np.zeros(2000))
    with pytest.raises(UserError, match=r"train\.rooms\.directory: can't use .*sound\.WAV: silence"):
        reverberate(SPEECH, recording)
    (tmp_path / "deep/er/sound.WAV").unlink()
    with pytest.raises(UserError, match=r"train\.noise\.directory: can't use .*sound\.WAV"):
        add_noise(SPEECH, recording, 0.0, np.random.default_rng(0))

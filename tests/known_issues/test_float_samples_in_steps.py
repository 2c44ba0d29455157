"""Float files that hold unscaled 16-bit integers, 32,768 times too loud, were accepted without a warning."""

from pathlib import Path
from typing import Callable

import pytest

from asrkit.corpus.audio import inspect_audio
from asrkit.errors import AudioProblem
from asrkit.recognise.recording import read_recording
from asrkit.signal.audio import read_samples
from tests.corpus.sound import noise, write_audio

Reader = Callable[[Path], object]
READERS = {
    "prepare": lambda file: inspect_audio(file, 60),
    "features": lambda file: read_samples(file, 0, 8000),
    "transcribe": read_recording,
}
FAULT = r"out of range: found .* expected -1 to 1; .*volume=1/32768"


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_the_refusal_names_the_command_that_converts_them(tmp_path: Path, read: Reader) -> None:
    file = write_audio(tmp_path / "a.wav", 3e4 * noise(1, 1), subtype="FLOAT")
    with pytest.raises(AudioProblem, match=FAULT):
        read(file)


def test_two_channels_are_refused_too(tmp_path: Path) -> None:
    file = write_audio(tmp_path / "a.wav", 3e4 * noise(1, 1, channels=2), subtype="FLOAT")
    with pytest.raises(AudioProblem, match=FAULT):
        read_recording(file)


def test_an_upload_is_refused_too(tmp_path: Path) -> None:
    file = write_audio(tmp_path / "a.wav", 3e4 * noise(1, 1), subtype="FLOAT")
    with pytest.raises(AudioProblem, match=r"found \S+ in the recording, expected -1 to 1"):
        read_recording(file.read_bytes())


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_samples_somewhat_beyond_full_scale_are_kept(tmp_path: Path, read: Reader) -> None:
    read(write_audio(tmp_path / "a.wav", 20 * noise(1, 1), subtype="FLOAT"))

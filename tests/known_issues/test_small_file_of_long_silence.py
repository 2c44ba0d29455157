"""A small FLAC file of silence took tens of GB of memory, and a killed worker left the upload in /tmp."""

import io
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asrkit.corpus import audio
from asrkit.errors import AudioProblem
from asrkit.recognise import recording
from asrkit.recognise.recording import read_recording

RATE = 8000


def flac(seconds: float, channels: int = 1) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.zeros((round(seconds * RATE), channels), np.int16), RATE, format="FLAC")
    return stream.getvalue()


@pytest.mark.parametrize("is_upload", [True, False])
def test_the_number_of_samples_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_upload: bool
) -> None:
    monkeypatch.setattr(recording, "MOST_SAMPLES", 2 * RATE)
    (tmp_path / "a.flac").write_bytes(flac(2.1))
    with pytest.raises(AudioProblem, match="too long: 16,800 samples, the limit is 16,000"):
        read_recording(flac(2.1) if is_upload else tmp_path / "a.flac")
    assert len(read_recording(flac(2.0))[0]) == 2 * RATE


def test_the_server_limits_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AudioProblem, match=r"too long: 2\.100 s, the limit is 2 s"):
        read_recording(flac(2.1), 2.0)


def test_all_samples_of_several_blocks_and_channels_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "BLOCK_SAMPLES", 1000)
    samples = np.random.default_rng(0).integers(-1000, 1000, (2500, 2)).astype(np.int16)
    stream = io.BytesIO()
    soundfile.write(stream, samples, RATE, format="WAV")
    found, rate = read_recording(stream.getvalue())
    assert rate == RATE and found == pytest.approx(samples.mean(axis=1) / 32768, abs=1e-6)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="Linux only")
def test_the_temporary_file_of_an_upload_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    listed = []

    def read(sound: Any) -> Any:
        listed.append(os.listdir(tmp_path))
        return audio.read_blocks(sound)

    monkeypatch.setattr(recording, "read_blocks", read)
    read_recording(flac(1.0))
    assert listed == [[]]


def test_without_proc_the_file_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Path, "exists", lambda file: False)
    assert len(read_recording(flac(1.0))[0]) == RATE
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"no audio", flac(1.0)[:50]])
def test_errors_do_not_name_the_temporary_file(content: bytes) -> None:
    with pytest.raises(AudioProblem) as error:
        read_recording(content)
    assert "/proc" not in str(error.value) and "/tmp" not in str(error.value)

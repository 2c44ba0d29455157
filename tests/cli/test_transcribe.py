"""asrkit transcribe: what of a folder is transcribed, what is reported, and in which form."""

import io
import json
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from asrkit.cli.transcribe import command
from asrkit.errors import UserError
from asrkit.recognise import opening
from asrkit.recognise.transcript import Segment, Word

SPEECH = (0.1 * np.random.default_rng(0).normal(size=16000)).astype(np.float32)


class FakeRecognizer:
    """Finds two words in all that lasts at least a quarter of a second."""

    def segments(self, samples: np.ndarray, rate: int, *_: object) -> Iterator[Segment]:
        assert samples.ndim == 1 and samples.dtype == np.float32
        if len(samples) >= rate / 4:
            words = Word("TWENTY", 0.1, 0.2, 0.9), Word("THREE", 0.4, 0.1, 0.8)
            yield Segment(0.0, len(samples) / rate, words)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(opening, "open_recognizer", lambda *_: FakeRecognizer())
    folder = tmp_path / "audio"
    folder.mkdir()
    soundfile.write(folder / "a.wav", SPEECH, 16000)
    return folder


def run(*arguments: Any, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(command, [*map(str, arguments), "--exp", "EXP"], input=stdin)


def test_all_formats_rates_and_channels_are_read(folder: Path) -> None:
    soundfile.write(folder / "b.flac", np.stack([SPEECH, -SPEECH / 2], axis=1), 44100)
    soundfile.write(folder / "c.ogg", SPEECH, 8000)
    soundfile.write(folder / "d.wav", SPEECH[:1], 16000)
    result = run(folder)
    assert result.exit_code == 0
    lines = [line for line in result.output.splitlines() if "\t" in line]
    assert lines == [f"{folder}/{name}\tTWENTY THREE" for name in ("a.wav", "b.flac", "c.ogg")] + [
        f"{folder}/d.wav\t"
    ]


def test_unusable_recordings_are_reported_and_the_others_transcribed(folder: Path) -> None:
    (folder / "1.wav").write_text("a text\n")
    (folder / "2.wav").write_bytes(b"")
    (folder / "3.wav").write_bytes((folder / "a.wav").read_bytes()[:9000])
    soundfile.write(folder / "4.wav", np.array([0.1, np.nan] * 9000), 16000, subtype="FLOAT")
    result = run(folder)
    assert f"{folder}/a.wav\tTWENTY THREE" in result.output
    reasons = {1: "not readable audio", 2: "empty file", 3: "truncated", 4: "NaN or infinite samples"}
    for number, reason in reasons.items():
        (line,) = [line for line in result.output.splitlines() if f"{number}.wav" in line]
        assert line.startswith("warning: ") and reason in line
    assert isinstance(result.exception, UserError)
    assert "4 of 5 recordings could not be transcribed" in result.exception.found


def test_stdin_and_its_errors_name_no_temporary_file(folder: Path) -> None:
    assert run("-", stdin=(folder / "a.wav").read_bytes()).output.startswith("TWENTY THREE\n")
    assert "warning: -: empty file\n" in run("-").output


def test_files_are_written_whole_and_one_per_recording(folder: Path, tmp_path: Path) -> None:
    soundfile.write(folder / "b.wav", SPEECH, 16000)
    assert run(folder, "--output", tmp_path / "out", "--format", "vtt").exit_code == 0
    written = (tmp_path / "out" / "b.wav.vtt").read_text()
    assert written == "WEBVTT\n\n00:00:00.100 --> 00:00:00.500\nTWENTY THREE\n\n"
    (folder / "again").mkdir()
    soundfile.write(folder / "again" / "a.wav", SPEECH, 16000)
    assert "have the same name" in run(folder, "--output", tmp_path / "out").exception.found
    assert "would be one file" in run(folder, "--format", "srt").exception.found


def test_digits_have_the_times_of_their_words(folder: Path) -> None:
    pytest.importorskip("text_to_num", reason="needs the extra [use]")
    result = run(folder / "a.wav", "--digits", "en", "--format", "json")
    found = json.loads(io.StringIO(result.output).readline())
    assert found["text"] == "23"
    assert found["segments"][0]["words"] == [{"word": "23", "start": 0.1, "end": 0.5, "confidence": 0.8}]

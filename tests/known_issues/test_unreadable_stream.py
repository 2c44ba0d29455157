"""`asrkit transcribe --stream` stopped at the first recording that can't be used, with a raw AudioProblem."""

from pathlib import Path
from types import SimpleNamespace
from typing import Iterable, Iterator

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from asrkit.cli.transcribe import command
from asrkit.errors import UserError
from asrkit.recognise import opening
from asrkit.recognise.stream import Update
from asrkit.recognise.transcript import Segment, Word


def transcribe(pieces: Iterable[np.ndarray]) -> Iterator[Update]:
    samples = sum(map(len, pieces))
    yield Update(Segment(0.0, 0.1, (Word(f"N{samples}", 0.0, 0.1, 1.0),), "greedy"), True)


def test_streams_after_an_unreadable_one_are_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = SimpleNamespace(chunk=8)
    recognizer = SimpleNamespace(
        model=model, step=0.04, sampling_rate=8000, latency=(0.1, 0.1), transcribe=transcribe
    )
    monkeypatch.setattr(opening, "open_stream_recognizer", lambda *_, **__: recognizer)
    (tmp_path / "a.wav").write_text("no audio")
    soundfile.write(str(tmp_path / "b.wav"), np.ones(400, np.float32) / 2, 8000)
    done = CliRunner().invoke(command, ["--stream", "--exp", str(tmp_path), str(tmp_path)])
    assert "N400\n" in done.output and "a.wav" in done.output
    assert isinstance(done.exception, UserError)
    assert "1 of 2 recordings could not be transcribed" in str(done.exception)

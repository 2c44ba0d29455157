"""One recording whose name isn't UTF-8 made `asrkit transcribe` fail for all recordings."""

import os
from pathlib import Path
from typing import Any, Iterator

import pytest

from asrkit.cli.main import main
from asrkit.corpus.audio import inspect_audio
from asrkit.errors import AudioProblem
from asrkit.recognise import opening
from asrkit.recognise.transcript import Segment, Word
from asrkit.synthesis.speaking import write_sound
from tests.corpus.sound import noise, write_audio

LATIN = os.fsdecode(b"caf\xe9.wav")


class Recogniser:
    """Recognises "one" in every recording."""

    units = None

    def segments(self, *_: Any) -> Iterator[Segment]:
        yield Segment(0.0, 0.5, (Word("one", 0.0, 0.5, 0.9),))


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.wav", "z.wav"):
        write_audio(tmp_path / name, noise(1, 1))
    os.replace(tmp_path / "a.wav", tmp_path / LATIN)
    monkeypatch.setattr(opening, "open_recognizer", lambda *_: Recogniser())
    return tmp_path


@pytest.mark.parametrize("form", ["text", "json", "ctm"])
def test_all_recordings_are_transcribed(
    recordings: Path, capfdbinary: pytest.CaptureFixture[bytes], form: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main(
            [
                "transcribe",
                "--exp",
                "EXP",
                "--format",
                form,
                "--output",
                str(recordings / "texts"),
                str(recordings),
            ]
        )
    assert end.value.code == 0
    ending = {"text": "txt"}.get(form, form)
    texts = sorted(os.fsencode(file.name) for file in (recordings / "texts").iterdir())
    assert texts == [b"caf\xe9.wav." + ending.encode(), b"z.wav." + ending.encode()]


def test_their_transcripts_are_printed(recordings: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["transcribe", "--exp", "EXP", str(recordings)])
    lines = capfdbinary.readouterr().out.splitlines()
    assert end.value.code == 0 and [line.split(b"\t")[1] for line in lines] == [b"one", b"one"]


def test_such_a_file_that_is_not_audio_is_rejected_alone(tmp_path: Path) -> None:
    (tmp_path / LATIN).write_text("no audio")
    with pytest.raises(AudioProblem, match="not readable audio"):
        inspect_audio(tmp_path / LATIN, 60)


def test_speech_is_written_to_such_a_file(tmp_path: Path) -> None:
    write_sound(tmp_path / LATIN, noise(1, 1), 16000)
    assert inspect_audio(tmp_path / LATIN, 60).samples == 16000

"""`asrkit transcribe --nj 2 - FOLDER < a.wav` lost stdin, which is closed in worker processes."""

import subprocess
import sys
from pathlib import Path

from tests.corpus.sound import noise, write_audio
from tests.own_process import REPOSITORY

PROGRAM = """
import sys
from asrkit.cli.main import main
from asrkit.recognise import opening
from asrkit.recognise.transcript import Segment, Word

class Recogniser:
    units = None
    def segments(self, samples, rate, options, phrases):
        yield Segment(0.0, 1.0, (Word(str(len(samples)), 0.0, 1.0, 0.9),))

opening.open_recognizer = lambda *_: Recogniser()
main(sys.argv[1:])
"""


def test_it_is_transcribed_along_with_files(tmp_path: Path) -> None:
    first, second = (
        write_audio(tmp_path / "a.wav", noise(1.0, 1)),
        write_audio(tmp_path / "b.wav", noise(0.5, 1)),
    )
    command = [sys.executable, "-c", PROGRAM, "transcribe", "--exp", "EXP", "--nj", "2", "-", str(second)]
    done = subprocess.run(command, input=first.read_bytes(), capture_output=True, cwd=REPOSITORY, timeout=300)
    assert done.stdout.decode().split() == ["-", "16000", str(second), "8000"], done.stderr.decode()

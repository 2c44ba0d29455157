"""A stage in a child process."""

import os
import pty
import subprocess
from pathlib import Path

from asrkit.pipeline.output import StageLog
from asrkit.pipeline.process import Guard, run_in_child
from tests.pipeline.toy import Toy


def test_time_memory_and_both_streams_of_a_child(tmp_path: Path, capsys: object) -> None:
    def work() -> None:
        block = bytearray(200_000_000)
        print("first", len(block))
        subprocess.run("echo second; echo third >&2", shell=True, check=True)

    guard, log, beats = Guard(), StageLog(tmp_path / "a.log", "title"), []
    outcome = run_in_child(work, log, guard, lambda: beats.append(1))
    log.close()
    guard.close()
    assert outcome.status == 0
    assert outcome.report == {"device": None}
    assert 200_000_000 < outcome.peak_bytes < 2_000_000_000
    assert beats
    lines = [line.partition(" ")[2] for line in log.file.read_text().splitlines()]
    assert set(lines[1:]) == {"first 200000000", "second", "third"}


def test_a_stage_draws_on_a_terminal_where_the_run_has_one(toy: Toy) -> None:
    ours, theirs = pty.openpty()
    run = toy.start(stderr=theirs)
    os.close(theirs)
    out, _ = run.communicate(timeout=60)
    os.close(ours)
    assert run.returncode == 0
    assert "terminal: True" in out
    assert "terminal: False" in toy.run("--force")

"""A finished stage was taken for failed when its process ended while the run looked elsewhere."""

import os
import subprocess
import time
from pathlib import Path
from typing import Callable

import pytest

from asrkit.pipeline.output import StageLog
from asrkit.pipeline.process import Guard, Outcome, run_in_child


def run(folder: Path, work: Callable[[], None], heartbeat: Callable[[], None]) -> Outcome:
    """Run `work` as a stage."""
    guard, log = Guard(), StageLog(folder / "a.log", "title")
    try:
        return run_in_child(work, log, guard, heartbeat)
    finally:
        log.close()
        guard.close()


def wait_for_a_child() -> None:
    """Take so long that the stage's process has ended; the guard, a child too, ends later."""
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)


@pytest.mark.parametrize("characters", [10, 60_000])
def test_what_it_said_last_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], characters: int
) -> None:
    def work() -> None:
        time.sleep(0.7)  # past the first look at the pipes
        print("x" * characters)

    outcome = run(tmp_path, work, wait_for_a_child)
    assert (outcome.status, outcome.report) == (0, {"device": None})
    assert "x" * characters in capsys.readouterr().out


def test_a_program_left_behind_that_writes_for_ever_is_not_waited_for(tmp_path: Path) -> None:
    def work() -> None:
        subprocess.Popen(["yes"], start_new_session=True)

    assert run(tmp_path, work, lambda: None).report == {"device": None}


def test_a_report_cut_short_by_a_kill_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        monkeypatch.setattr("json.dumps", lambda report: '{"device": ')

    assert run(tmp_path, work, lambda: None).report == {}

"""A signal in the middle of an import was told as an error of C code, with exit status 1, or was lost."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asrkit.pipeline import process
from asrkit.pipeline.interruption import Interrupted, signals_raise
from asrkit.pipeline.output import StageLog
from asrkit.pipeline.process import Guard, run_in_child
from asrkit.pipeline.runner import _preload

# As the C code of numpy, torch and pybind11 does with any exception in its imports
LIBRARY = """
import os, signal, time
os.environ["TOY_IMPORTS"] = os.environ.get("TOY_IMPORTS", "") + "begun "
try:
    os.kill(os.getpid(), signal.{name})
    time.sleep(0.05)
except BaseException:
    raise {error}
os.environ["TOY_IMPORTS"] += "whole"
"""
VERB = """
import os, signal, sys, time, types, click
from asrkit.cli.main import main
@click.command("describe")
def command():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    except BaseException:
        error = RuntimeError("KeyboardInterrupt: <EMPTY MESSAGE>")
    raise error
sys.modules["asrkit.cli.describe"] = types.SimpleNamespace(command=command)
sys.argv[1:] = ["describe"]
main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("error", ["ImportError('numpy')", "RuntimeError", "SystemError"])
def test_a_signal_waits_for_the_end_of_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TOY_IMPORTS", "")
    monkeypatch.delitem(sys.modules, "slow_library", raising=False)
    (tmp_path / "slow_library.py").write_text(LIBRARY.format(name=name, error=error))
    with pytest.raises(Interrupted, match=name), signals_raise():
        _preload("slow_library")
    assert os.environ["TOY_IMPORTS"] == "begun whole"


def test_a_signal_at_a_fork_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = os.fork

    def interrupted_fork() -> int:
        with contextlib.suppress(Interrupted):  # as the interpreter does with what is called at a fork
            os.kill(os.getpid(), signal.SIGTERM)
        return fork()

    guard, log = Guard(), StageLog(tmp_path / "a.log", "title")
    monkeypatch.setattr(process.os, "fork", interrupted_fork)
    with pytest.raises(Interrupted), signals_raise():
        run_in_child(lambda: None, log, guard, lambda: None)
    log.close()
    guard.close()


def test_an_interrupt_that_became_another_error_is_one() -> None:
    done = subprocess.run([sys.executable, "-c", VERB], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert "interrupted by SIGINT" in done.stderr
    assert "error" not in done.stderr

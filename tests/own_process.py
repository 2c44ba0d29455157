"""Run a file of tests in a process of its own.

For tests that fork or send themselves signals: threads that other tests started in this process don't
survive a fork, and may take a signal that is meant for the main thread.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def _default_signals() -> None:
    """What a shell starts in the background ignores SIGINT, and what nohup starts SIGHUP."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def passes(file: Path, count: int, folder: Path) -> bool:
    """Whether all `count` tests of a file pass; what fails is printed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}/own"]
    done = subprocess.run(
        [*command, str(file)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=_default_signals,
    )
    print(done.stdout[-5000:], done.stderr[-2000:])
    return done.returncode == 0 and bool(re.search(rf"^{count} passed", done.stdout, re.MULTILINE))

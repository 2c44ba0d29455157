"""Memory that ran out inside k2's search ended or stopped the process, and with it the whole stage.

The cases fork processes that search. Threads of k2 and torch don't survive a fork, and other tests may have
started some here, so the cases run in a process of their own.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_utterance_alone_falls_back(tmp_path: Path) -> None:
    cases = Path(__file__).with_name("search_out_of_memory.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path}/cases"]
    done = subprocess.run(
        [*command, str(cases)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert re.search(r"^21 passed", done.stdout, re.MULTILINE)

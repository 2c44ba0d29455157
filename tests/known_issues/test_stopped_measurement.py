"""A measurement that was ended left its training to work on alone, beside the next one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from asrkit.pipeline.experiment import REPOSITORY

MEASUREMENT = """
import sys
sys.path.insert(0, "benchmarks")
from measure import run_command, run_measurement
work = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
run_measurement(lambda: run_command([sys.executable, "-c", work, sys.argv[1]]))
"""


def test_what_a_measurement_runs_ends_with_it(tmp_path: Path) -> None:
    file = tmp_path / "process"
    measurement = subprocess.Popen([sys.executable, "-c", MEASUREMENT, str(file)], cwd=REPOSITORY)
    while not (file.exists() and file.read_text()):
        assert measurement.poll() is None
        time.sleep(0.05)
    measurement.send_signal(signal.SIGTERM)
    assert measurement.wait(timeout=60) == 1
    assert not _runs(int(file.read_text()))


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True

"""The commands of benchmarks/README.md are there and take --help; what they measure is no test's business."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
TABLE = (REPOSITORY / "benchmarks" / "README.md").read_text(encoding="utf-8")
NEED_K2 = ("benchmarks/beam_sweep.py", "benchmarks/large_graph.py")
COMMANDS = re.findall(r"`(benchmarks/[a-z_]+\.py[^`]*)` \|", TABLE)


@pytest.mark.parametrize("script", sorted({shlex.split(command)[0] for command in COMMANDS}))
def test_a_listed_command_is_executable_and_answers_help(script: str) -> None:
    if script in NEED_K2:
        pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
    file = REPOSITORY / script
    assert os.access(file, os.X_OK), f"{script} is missing or not executable"
    run = subprocess.run([sys.executable, str(file), "--help"], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("usage:")


def test_every_measurement_is_listed_and_run_by_make_bench() -> None:
    files = {file.name for file in (REPOSITORY / "benchmarks").glob("*.py")}
    there = files - {"measure.py", "made_up_corpus.py", "all.py"}
    assert {Path(shlex.split(command)[0]).name for command in COMMANDS} == there
    program = "import runpy; print(*runpy.run_path('benchmarks/all.py')['commands'](), sep='\\n')"
    run = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert run.stdout.splitlines() == COMMANDS


def test_real_speech_that_is_missing_is_told_in_one_message(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ASRKIT_CORPORA"}
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "recipe.py"), "--recipe", "an4"]
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1
    assert "ASRKIT_CORPORA" in run.stderr and "Traceback" not in run.stderr

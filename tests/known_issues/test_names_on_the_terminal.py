"""Names could steer the terminal, and what its encoding lacks, or a closed output, ended a stage."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest

from asrkit.errors import UserError, escape
from asrkit.pipeline.experiment import REPOSITORY
from tests.pipeline.toy import Toy

EVIL = "a\x1b[31m\x1b]0;title\x07\rb\n  to do:    rm\u202e\u2066\u200f\u2028\x85\x9b2J\udcff"
SHOWN = r"a\x1b[31m\x1b]0;title\x07\rb\n  to do:    rm\u202e\u2066\u200f\u2028\x85\x9b2J\xff"
STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
STAGE = """
import subprocess, sys
def run(experiment):
    print({text!r})
    print({text!r}, file=sys.stderr)
    subprocess.run(["printf", "\\\\033[2Jby a program\\\\n"])
    (experiment.directory / "tell").mkdir(exist_ok=True)
    (experiment.directory / "tell/report.txt").write_text("x")
"""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (EVIL, SHOWN),
        (
            "caf\u00e9 \u4f60\u597d \u0645\u06cc\u200c\u062e\u0648\u0627\u0647 e\u0301 \U0001f600\u3000",
            None,
        ),
        ("\ud800 \ue000 \U000e0041\ufeff\x00\t", "\\ud800 \ue000 \\U000e0041\\ufeff\\x00\\t"),
    ],
)
def test_what_steers_is_escaped_and_what_is_read_is_not(text: str, shown: str) -> None:
    assert escape(text) == (text if shown is None else shown)


def test_an_errors_own_lines_stay_and_a_name_adds_none() -> None:
    error = UserError(f"found {EVIL}:\n    one\n    two", expected=EVIL, where=EVIL, todo=EVIL)
    assert str(error).split("\n") == [
        f"found {SHOWN}:",
        "    one",
        "    two",
        f"  expected: {SHOWN}",
        f"  where:    {SHOWN}",
        f"  to do:    {SHOWN}",
    ]


def test_what_a_stage_and_its_programs_print_is_escaped_on_the_terminal_and_in_the_log(toy: Toy) -> None:
    text = EVIL.replace("\n", "")
    toy.write("toykit/tell.py", STAGE.format(text=text))
    output = toy.run()
    assert output.count(SHOWN.replace(r"\n", "")) == 2
    assert r"\x1b[2Jby a program" in output
    log = (toy.exp / "logs/tell.log").read_text(encoding="utf-8")
    assert log.count(SHOWN.replace(r"\n", "")) == 2
    assert r"\x1b[2Jby a program" in log
    assert not STEERING.search(output + log)


def test_errors_and_reasons_are_escaped(toy: Toy) -> None:
    name = EVIL.replace("/", "") + ".wav"
    toy.run()
    (toy.corpus / name).write_text("no")
    table = toy.run("--status")
    assert f"corpus {SHOWN}.wav is new" in table or f"audio {SHOWN}.wav is new" in table
    assert len(table.splitlines()) == 5
    failed = toy.run("--stage", EVIL, status=1) + toy.run(f"--{EVIL}", status=2)
    toy.write(
        "toykit/tell.py", f"from asrkit.errors import UserError\ndef run(_):\n    raise UserError({EVIL!r})\n"
    )
    failed += toy.run(status=1)
    assert failed.count(SHOWN) >= 3
    assert not STEERING.search(table + failed + (toy.exp / "logs/tell.log").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
        {"PYTHONIOENCODING": "gbk"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0"},
    ],
)
def test_any_text_is_printed_whatever_the_encoding(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, environment: Dict[str, str]
) -> None:
    toy.write("toykit/tell.py", STAGE.format(text="\u4f60 \u00e9 \u0416"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = in_shell(toy, "$RUN")
    assert done.returncode == 0, done.stderr
    for stream in (done.stdout, done.stderr):
        shown = stream.decode(environment.get("PYTHONIOENCODING", "utf-8").partition(":")[0])
        assert re.search(r"(\u4f60|\\u4f60) (\u00e9|\\xe9) (\u0416|\\u0416)", shown)
    assert "\u4f60 \u00e9 \u0416" in (toy.exp / "logs/tell.log").read_text(encoding="utf-8")


def in_shell(toy: Toy, command: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command of bash in which $RUN is the toy's run.sh."""
    run = f"{sys.executable} {toy.folder / 'drive.py'}"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "RUN": run}
    return subprocess.run(["bash", "-c", command], env=environment, capture_output=True, timeout=60)


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-", ">&- 2>/dev/null"])
def test_a_run_ends_well_with_closed_streams(toy: Toy, closed: str) -> None:
    done = in_shell(toy, f"$RUN {closed}")
    assert done.returncode == 0, done.stderr
    assert b"rror" not in done.stderr
    assert toy.states() == {}
    assert (toy.exp / ".lock").read_bytes() == b""


def test_a_reader_that_is_gone_ends_the_run_quietly(toy: Toy) -> None:
    toy.write("toykit/tell.py", "import time\ndef run(_):\n    while True:\n        print('x' * 1000)\n")
    for streams in ("", "2>&1"):
        done = in_shell(toy, f"$RUN {streams} | head -c 30; exit ${{PIPESTATUS[0]}}")
        assert done.returncode == 141
        assert done.stderr == b""
    assert "running" not in toy.run("--status")


def test_output_on_a_full_disk_is_said(toy: Toy) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    done = in_shell(toy, "$RUN --status >/dev/full")
    assert done.returncode == 1
    assert b"error: can't write the output: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr
    assert in_shell(toy, "$RUN --status >/dev/full 2>/dev/full").returncode == 1

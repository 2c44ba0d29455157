"""A kill while the outputs of a recipe's own stage were moved into EXP left a mixture of two runs there."""

import signal
from typing import List

import pytest

from asrkit.stages.table import SEPARATOR
from tests.pipeline.toy import Toy

WRITE = 'mkdir -p "$EXP/lists"; for name in $NAMES; do echo "$VALUE" > "$EXP/lists/$name"; done'


def lines(command: str) -> List[str]:
    stages = (
        ("0", "fetch", "the corpus"),
        ("1", "lists", "two lists", "--writes", "lists/*", "--", "bash", "-c", command),
    )
    return [word for stage in stages for word in ("--line", SEPARATOR.join(stage))]


def command(value: str, names: str) -> List[str]:
    return lines(f"VALUE={value} NAMES='{names}'; {WRITE}")


def lists(toy: Toy) -> dict:
    return {file.name: file.read_text().strip() for file in (toy.exp / "lists").glob("*")}


@pytest.mark.parametrize("kills_after", [1, 2, 3, 4])
def test_a_kill_in_between_leaves_the_earlier_outputs(toy: Toy, kills_after: int) -> None:
    """Killed after each of the four renames: two outputs moved aside, two new ones moved into EXP."""
    toy.run(*command("old", "a b"))
    hook = f"""
import os, asrkit.pipeline.command as command
replace, count = os.replace, 0
def count_down(source, target):
    global count
    replace(source, target)
    count += "lists" in str(target)
    if count == {kills_after}:
        os.kill(os.getppid(), 9)
        os.kill(os.getpid(), 9)
command.os = type("os", (), {{**vars(os), "replace": staticmethod(count_down)}})
"""
    toy.replace("drive.py", "import asrkit.cli.run\n", "import asrkit.cli.run\n" + hook)
    toy.run(*command("new", "b c"), status=-signal.SIGKILL)
    toy.replace("drive.py", hook, "")
    output = toy.run(*command("old", "a b"))
    assert lists(toy) == {"a": "old", "b": "old"}
    assert "nothing to do" in output
    assert not (toy.exp / ".command/lists").exists()
    toy.run(*command("new", "b c"))
    assert lists(toy) == {"b": "new", "c": "new"}

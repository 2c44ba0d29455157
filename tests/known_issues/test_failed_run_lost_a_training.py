"""A run with a mistake in its settings, then the original command, removed a finished training."""

import json
import os
from typing import List

from tests.known_issues.conftest import Finished


def errors(yesno: Finished) -> List[int]:
    """The number of errors in each result."""
    return [result["errors"] for result in json.loads((yesno.exp / "results.json").read_text())]


def test_a_mistake_and_the_original_command_leave_the_training(yesno: Finished) -> None:
    weights = {file: file.read_bytes() for file in yesno.exp.glob("trainings/*/checkpoints/*")}
    used = os.readlink(yesno.exp / "train")
    output = yesno.run(settings=["augment.noise.directory=/nowhere"], status=1)
    assert "/nowhere" in output
    assert "6 train, 7 average" in yesno.run().partition("fresh, so not run: ")[2]
    assert os.readlink(yesno.exp / "train") == used
    assert {file: file.read_bytes() for file in weights} == weights


def test_settings_changed_and_changed_back_find_the_training(yesno: Finished) -> None:
    used = os.readlink(yesno.exp / "train")
    results = errors(yesno)
    yesno.run(settings=["train.seed=5"])
    assert os.readlink(yesno.exp / "train") != used
    output = yesno.run()
    assert f"uses {os.path.basename(used)}, which has these settings and inputs" in output
    assert "epoch   1:" not in output
    assert os.readlink(yesno.exp / "train") == used
    assert errors(yesno) == results

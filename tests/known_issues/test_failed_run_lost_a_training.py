"""A run with a mistake in its settings, then the original command, removed a finished training."""

import json
import os
from typing import List

from tests.known_issues.conftest import Finished


def errors(finished: Finished) -> List[int]:
    """The number of errors in each result."""
    return [result["errors"] for result in json.loads((finished.exp / "results.json").read_text())]


def test_a_mistake_and_the_original_command_leave_the_training(finished: Finished) -> None:
    weights = {file: file.read_bytes() for file in finished.exp.glob("trainings/*/checkpoints/*")}
    used = os.readlink(finished.exp / "train")
    output = finished.run(settings=["train.noise.directory=/nowhere"], status=1)
    assert "/nowhere" in output
    assert "6 train, 7 average" in finished.run().partition("fresh, so not run: ")[2]
    assert os.readlink(finished.exp / "train") == used
    assert {file: file.read_bytes() for file in weights} == weights


def test_settings_changed_and_changed_back_find_the_training(finished: Finished) -> None:
    used = os.readlink(finished.exp / "train")
    results = errors(finished)
    finished.run(settings=["train.seed=5"])
    assert os.readlink(finished.exp / "train") != used
    output = finished.run()
    assert f"uses {os.path.basename(used)}, which was made of the same before" in output
    assert "epoch   1:" not in output
    assert os.readlink(finished.exp / "train") == used
    assert errors(finished) == results

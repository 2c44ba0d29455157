"""EXP/recipe.yaml and EXP/cost.json could be wrong, and no run repaired them."""

import json
from typing import Any, Dict

import pytest
import yaml

from asrkit.pipeline.record import Record, made_with
from tests.pipeline.toy import Toy, kill


def record(started: float, settings: Dict[str, Any], how: Dict[str, Any]) -> Record:
    return Record("", {}, settings, how, 1, {}, {}, started, 1.0, 1, 1, [])


def test_a_setting_that_says_how_does_not_hide_one_that_made_a_result() -> None:
    training = record(1.0, {"train.batch_duration": 100}, {"train.threads": 1})
    average = record(2.0, {}, {"train.batch_duration": 50, "train.threads": 2})
    assert made_with([average, training]) == {"train.batch_duration": 100, "train.threads": 2}


@pytest.mark.parametrize("name", ["recipe.yaml", "cost.json"])
@pytest.mark.parametrize("fault", ["lost", "edited", "damaged"])
def test_a_run_with_nothing_to_do_repairs_them(finished: Toy, name: str, fault: str) -> None:
    finished.run("--set", "lm.order=2")
    file = finished.exp / name
    before = file.read_bytes()
    if fault == "lost":
        file.unlink()
    elif fault == "edited":
        file.write_bytes(before.replace(b"order: 2", b"order: 3").replace(b'"seconds"', b'"minutes"'))
    else:
        file.write_bytes(before[: len(before) // 2])
    assert "nothing to do" in finished.run("--set", "lm.order=2")
    if name == "recipe.yaml":
        assert file.read_bytes() == before
    else:
        found, expected = json.loads(file.read_bytes()), json.loads(before)
        assert found["stages"] == expected["stages"] and found["configuration"] == expected["configuration"]


def test_settings_of_several_runs_that_conflict_can_be_read(finished: Toy) -> None:
    from asrkit.pipeline.experiment import open_experiment

    tree = yaml.safe_load((finished.exp / "recipe.yaml").read_text())
    tree["average"]["candidates"] = ["best-10"]  # from a run with train.keep_best=10 after the training
    (finished.exp / "recipe.yaml").write_text(yaml.safe_dump(tree))
    assert open_experiment(finished.exp).config.average.candidates == ("best-10",)


def test_an_unfinished_stage_does_not_change_the_facts_of_a_finished_one(toy: Toy) -> None:
    toy.replace(
        "toykit/count.py",
        "words = (",
        "from asrkit.pipeline.cost import write_facts\n"
        "    write_facts(experiment, 'count', parameters=100 + experiment.config.lm.order)\n"
        "    words = (",
    )
    toy.run("--set", "lm.order=1")
    kill(toy.hold("--set", "lm.order=2"))
    assert json.loads((toy.exp / "cost.json").read_text())["parameters"] == 101
    toy.run("--set", "lm.order=2")
    assert json.loads((toy.exp / "cost.json").read_text())["parameters"] == 102

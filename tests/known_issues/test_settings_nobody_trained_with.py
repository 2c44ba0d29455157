"""A run of one stage wrote settings of another to EXP/recipe.yaml that nobody had run it with."""

import json

import yaml

from tests.known_issues.conftest import Finished


def test_the_settings_kept_are_those_that_stages_were_made_with(yesno: Finished) -> None:
    before = yaml.safe_load((yesno.exp / "recipe.yaml").read_text())
    hashes = [json.loads((yesno.exp / "cost.json").read_text())["configuration"]]
    yesno.run("--stage", "score", settings=["train.epochs=99"])
    assert yaml.safe_load((yesno.exp / "recipe.yaml").read_text()) == before
    hashes.append(json.loads((yesno.exp / "cost.json").read_text())["configuration"])
    assert hashes[0] == hashes[1]
    yesno.run("--stage", "score", settings=["score.bootstrap_samples=50"])
    after = yaml.safe_load((yesno.exp / "recipe.yaml").read_text())
    assert after["score"]["bootstrap_samples"] == 50
    assert after["train"] == before["train"]


def test_results_name_the_training_that_they_come_from(yesno: Finished) -> None:
    (training,) = (yesno.exp / "trainings").iterdir()
    results = json.loads((yesno.exp / "results.json").read_text())
    assert {result["training"] for result in results} == {training.name}

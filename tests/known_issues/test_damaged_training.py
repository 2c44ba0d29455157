"""Of several trainings of the same settings only the first was looked at; if damaged, ranks waited on."""

import shutil

from asrkit.cli.run import _absolute
from asrkit.config import load_config
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.runner import Request, must_run
from asrkit.stages.table import stage_named
from tests.known_issues.conftest import SETTINGS, Finished
from tests.recipes.miniature import PROJECT


def test_a_whole_training_is_used_and_a_damaged_one_is_not(yesno: Finished) -> None:
    recipe = PROJECT / "recipes/yesno"
    config = load_config(recipe / "recipe.yaml", None, SETTINGS)
    experiment = Experiment(config, _absolute(yesno.exp), _absolute(yesno.corpus), recipe, 1)
    first = (yesno.exp / "train").resolve()
    second = shutil.copytree(first, first.with_name(f"{first.name}-2"))
    log = first / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"errors": ', b'"errors": 1'))
    train = stage_named("train")
    assert not must_run(train, experiment, Request([train]))
    output = yesno.run()
    assert f"{first.name} has the same settings, but its files have changed: not used" in output
    assert f"uses {second.name}, which has these settings and inputs" in output
    (yesno.exp / "train").unlink()
    shutil.rmtree(second)
    assert must_run(train, experiment, Request([train]))  # so further ranks join the first

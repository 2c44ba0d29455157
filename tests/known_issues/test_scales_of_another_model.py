"""After stage average ran alone with other settings, asrkit export gave the new model the results and the
language model scale of the one before. transcribe and serve used that scale, and report those results."""

import re
from pathlib import Path
from typing import Iterable

import pytest
import yaml

from asrkit.deploy.export import export
from asrkit.errors import UserError
from asrkit.pipeline.experiment import open_experiment
from asrkit.pipeline.finished import refuse_changed_model, refuse_changed_results
from asrkit.recognise.opening import open_recognizer
from asrkit.stages.table import stage_named
from asrkit.storage.files import write_text
from tests.cli.test_compare import TEXTS, make
from tests.known_issues.test_changed_experiment import finish

TRAINED = ("features", "units", "lm", "graph", "train", "average")
MODEL, HYPOTHESES = "average/model.safetensors", "decode/test/hypotheses_greedy.jsonl"


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    directory = make(tmp_path / "exp", TEXTS, {"u1": "GO TO", "u2": "STOP NOW"})
    settings = yaml.safe_load((directory / "recipe.yaml").read_text())
    settings["decode"]["methods"] = ["greedy", "1best"]
    write_text(directory / "recipe.yaml", yaml.safe_dump(settings))
    write_text(directory / MODEL, "the first")
    finish(directory, (*TRAINED, "decode", "score"))
    refuse_changed_model(open_experiment(directory), with_results=True)
    return directory


def rerun(directory: Path, name: str, stages: Iterable[str]) -> None:
    """Change a file as if these stages had run again and had written it."""
    file = directory / name
    write_text(file, f"{file.read_text()}\n")
    finish(directory, stages)


def test_a_new_model_is_not_used_with_the_scales_of_another(scored: Path, tmp_path: Path) -> None:
    rerun(scored, MODEL, ["average"])
    for refused in (
        lambda: export(open_experiment(scored), tmp_path / "bundle"),
        lambda: open_recognizer(scored),
    ):
        with pytest.raises(
            UserError, match=f"^{re.escape(f'stage decode is stale: {MODEL} has changed')}"
        ) as caught:
            refused()
        assert caught.value.todo.startswith(f"run.sh --exp {scored}, ")
    assert not (tmp_path / "bundle").exists()
    refuse_changed_model(open_experiment(scored), with_scales=False)  # as greedy, which has none
    finish(scored, ("decode", "score"))
    refuse_changed_model(open_experiment(scored), with_results=True)


def test_results_of_another_decoding_are_not_exported(scored: Path, tmp_path: Path) -> None:
    rerun(scored, HYPOTHESES, ["decode"])
    refuse_changed_model(open_experiment(scored))  # nothing else reads the results
    with pytest.raises(UserError, match=f"stage score is stale: {re.escape(HYPOTHESES)} has changed"):
        export(open_experiment(scored), tmp_path / "bundle")


def test_results_of_another_model_are_not_reported(scored: Path) -> None:
    refuse_changed_results([stage_named("score")], scored)
    rerun(scored, MODEL, ["average"])
    with pytest.raises(UserError, match=f"^stage decode is stale: {re.escape(MODEL)} has changed"):
        refuse_changed_results([stage_named("score")], scored)


def test_a_model_that_was_never_decoded_may_be_averaged_again(scored: Path) -> None:
    for stage in ("decode", "score"):
        (scored / "stages" / f"{stage}.json").unlink()
    rerun(scored, MODEL, ["average"])
    refuse_changed_model(open_experiment(scored), with_results=True)

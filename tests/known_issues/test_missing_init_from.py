"""With train.init_from gone (moved, not mounted), stage units replaced a fine-tuned model's units."""

from pathlib import Path

import pytest

from asrkit.config import CorpusConfig, RecipeConfig, TrainConfig, UnitsConfig
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment, write_settings
from asrkit.stages.train import check_files
from asrkit.stages.units import run
from asrkit.storage.files import write_text
from tests.storage.json_lines import write_jsonl_gz


def experiment_at(folder: Path, text: str, start: Path) -> Experiment:
    config = RecipeConfig(
        name="small",
        corpus=CorpusConfig(module="small"),
        units=UnitsConfig(kind="characters"),
        train=TrainConfig(init_from=str(start)),
    )
    experiment = Experiment(config, folder, folder, folder, jobs=1)
    supervisions = experiment.folder("manifests") / "train_supervisions.jsonl.gz"
    write_jsonl_gz(supervisions, [{"id": "one", "text": text}])
    return experiment


def test_units_are_not_built_without_the_model_that_training_starts_from(tmp_path: Path) -> None:
    start = tmp_path / "start"
    write_text(start / "units" / "units.txt", "<blk> 0\n▁b 1\n")
    experiment = experiment_at(tmp_path / "exp", "a b", start)
    write_settings(start, experiment.config)
    run(experiment)
    units = (tmp_path / "exp/units/units.txt").read_bytes()
    assert units.startswith((start / "units" / "units.txt").read_bytes())
    start.rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"train\.init_from is .*start, which is missing"):
        run(experiment)
    assert (tmp_path / "exp/units/units.txt").read_bytes() == units


def test_training_reports_that_it_is_missing(tmp_path: Path) -> None:
    experiment = experiment_at(tmp_path / "exp", "a b", tmp_path / "moved")
    with pytest.raises(UserError, match=r"train\.init_from is .*moved, which is missing") as caught:
        check_files(experiment)
    assert caught.value.todo == "check the name"

"""Methods that need an n-gram model of order 2 checked lm.order instead of the model: with lm.order 1 a given
model of order 3 was refused, and a model of order 1, given or pruned, failed in stage decode."""

from pathlib import Path

import msgspec
import pytest

pytest.importorskip("kenlm", reason="kenlm isn't installed: it queries models of order 2 and up")

from asrkit.config import DecodeConfig, LmConfig, load_config
from asrkit.errors import UserError
from asrkit.lm.arpa import write_arpa
from asrkit.lm.kenlm import load_kenlm
from asrkit.lm.kneser_ney import estimate
from asrkit.pipeline.experiment import REPOSITORY, Experiment
from asrkit.pipeline.runner import _execute
from asrkit.stages.table import stage_named
from tests.cli.test_lm import experiment_with

RECIPE = REPOSITORY / "recipes" / "yesno" / "recipe.yaml"


def run(folder: Path, lm: LmConfig, method: str) -> None:
    """Run stage lm with only the settings that it declares."""
    experiment: Experiment = experiment_with(lm, folder)
    config = msgspec.structs.replace(experiment.config, decode=DecodeConfig(methods=("1best", method)))
    _execute(stage_named("lm"), Experiment(config, experiment.directory, folder, folder / "recipe", jobs=1))


def give(folder: Path, order: int) -> None:
    write_arpa(estimate(["YES YES", "NO", "NEW"], order).model, folder / "given.arpa")


def test_lm_order_does_not_matter_if_a_model_is_given(tmp_path: Path) -> None:
    methods = "decode.methods=[ctc-decoding]"
    load_config(RECIPE, None, ["lm.order=1", "lm.arpa=given.arpa", methods])
    with pytest.raises(UserError, match="methods has ctc-decoding"):
        load_config(RECIPE, None, ["lm.order=1", methods])
    give(tmp_path, 2)
    run(tmp_path, LmConfig(order=1, arpa="given.arpa"), "ctc-decoding")


@pytest.mark.parametrize(
    ("lm", "setting"), [(LmConfig(arpa="given.arpa"), "lm.arpa"), (LmConfig(order=2, prune=10.0), "lm.prune")]
)
def test_a_model_of_order_1_ends_stage_lm(tmp_path: Path, lm: LmConfig, setting: str) -> None:
    give(tmp_path, 1)
    run(tmp_path, lm, "nbest-oracle")
    with pytest.raises(UserError) as refusal:
        run(tmp_path, lm, "modified-beam-search")
    assert refusal.value.where == setting and setting in refusal.value.todo
    assert "modified-beam-search" in refusal.value.expected


def test_the_error_for_kenlm_names_the_settings(tmp_path: Path) -> None:
    give(tmp_path, 1)
    with pytest.raises(UserError, match="is a model of order 1") as refusal:
        load_kenlm(tmp_path / "given.arpa")
    assert "lm.prune" in refusal.value.todo

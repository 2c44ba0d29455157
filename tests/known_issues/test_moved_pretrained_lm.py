"""The folder of lm.neural.path was stored as an absolute path. After the project was moved, rescoring failed
or silently used another model at that path."""

import shutil
from pathlib import Path
from typing import Any, Iterator

import pytest
import torch

from asrkit.config import load_config
from asrkit.config.view import declared_settings
from asrkit.errors import UserError
from asrkit.lm import neural
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.stages.table import stage_named
from asrkit.storage.tensors import save_tensors


class Loaded:
    """Stands for a model of transformers."""

    def __init__(self, folder: Path, lower: bool = False) -> None:
        self.folder, self.lower = folder, lower

    def score(self, sentences: Any) -> Iterator[Any]:
        shape = (len(sentences), max(map(len, sentences)))
        yield torch.full(shape, -1.0), torch.ones(shape, dtype=torch.bool)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe's folder with a model, and an experiment that refers to it."""
    monkeypatch.setattr(neural, "PretrainedLm", Loaded)
    for name in ("bert", "exp/lm"):
        (tmp_path / "project" / name).mkdir(parents=True)
    (tmp_path / "project/bert/config.json").write_text("{}")
    (tmp_path / "project/bert/model.safetensors").write_bytes(b"weights")
    file = tmp_path / "project/exp/lm/neural.safetensors"
    assert neural.write_pretrained(tmp_path / "project/bert", ["A"], file) == pytest.approx(2.71828)
    assert str(tmp_path).encode() not in file.read_bytes()
    return tmp_path / "project"


def test_it_is_found_after_a_move(project: Path) -> None:
    moved = project.rename(project.with_name("moved"))
    file = moved / "exp/lm/neural.safetensors"
    assert neural.load_neural(file).folder.samefile(moved / "bert")  # without the recipe, as in transcribe
    (moved / "bert").rename(moved / "other")
    model = neural.load_neural(file, moved / "other")  # as lm.neural.path names it now
    assert model.folder.samefile(moved / "other") and model.lower
    (moved.parent / "evaluation").mkdir()
    (moved.parent / "evaluation" / "lm").symlink_to(moved / "exp" / "lm")
    (moved / "other").rename(moved / "bert")
    linked = moved.parent / "evaluation/lm/neural.safetensors"
    assert neural.load_neural(linked, moved.parent / "evaluation/bert").folder.samefile(moved / "bert")


def test_another_model_is_refused(project: Path) -> None:
    file = project / "exp/lm/neural.safetensors"
    (project / "bert/model.safetensors").write_bytes(b"other weights")
    with pytest.raises(UserError, match="isn't the one that stage lm measured") as refusal:
        neural.make_neural_scorer(file, project / "bert")
    assert "--stage lm" in refusal.value.todo
    shutil.rmtree(project / "bert")
    with pytest.raises(UserError, match="is missing") as refusal:
        neural.make_neural_scorer(file, project / "bert")
    assert refusal.value.todo == "set lm.neural.path to where it is now"


def test_a_file_of_an_earlier_version_is_used(project: Path) -> None:
    file = project / "exp/lm/neural.safetensors"
    save_tensors(file, {"none": torch.zeros(1)}, {"path": str(project / "bert"), "lower": False})
    assert neural.load_neural(file).folder == project / "bert"
    (project / "bert").rename(project / "other")
    assert neural.load_neural(file, project / "other").folder == project / "other"


def test_stage_decode_reads_the_setting() -> None:
    config = load_config(REPOSITORY / "recipes/yesno/recipe.yaml")
    decoding = stage_named("decode")
    view = declared_settings(config, (*decoding.result, *decoding.how), "stage decode")
    assert view.lm.neural.path is None and view.lm.second_neural.path is None
    with pytest.raises(LookupError):
        _ = view.lm.neural.layers

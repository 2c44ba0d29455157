"""The log and docs claimed too much: that a training resumed with other processes differs only by rounding,
and that one resumed on a GPU gives the same bytes."""

from pathlib import Path

import msgspec
import pytest

pytest.importorskip("lhotse")

import torch

from asrkit.model.acoustic import AcousticModel
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.train.loop import Training, run_training
from asrkit.train.optimizer import make_optimizer
from asrkit.train.world import ALONE, World
from tests.train.tiny import CONFIG, MODEL, UNITS, make_examples

STATISTICS = "same steps, other rounding and statistics of batch normalisation\n"


@pytest.mark.parametrize(
    ("before", "differs"),
    [
        ("2 processes of 1 thread on cpu", STATISTICS),
        ("12 processes of 1 thread on cpu", STATISTICS),
        ("1 process of 7 threads on cuda", "same steps, other rounding\n"),
    ],
)
def test_what_differs_is_logged(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    before: str,
    differs: str,
) -> None:
    def train(epochs: int) -> None:
        model, config = AcousticModel(MODEL, 20, 3), msgspec.structs.replace(CONFIG, epochs=epochs)
        run_training(
            Training(model, make_optimizer(model, config), config, UNITS, examples, examples, tmp_path)
        )

    examples, own = make_examples(2, 0), ALONE.describe(torch.device("cpu"))
    with monkeypatch.context() as patch:
        patch.setattr(World, "describe", lambda *_: before)
        train(1)
    train(2)
    assert f"train: on {own} instead of {before}: {differs}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "file", ["docs/stages.md", "docs/cluster.md", "asrkit/train/loop.py", "asrkit/train/checkpoint.py"]
)
def test_equal_bytes_are_promised_for_cpus(file: str) -> None:
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    for sentence in " ".join(text.split()).split(". "):
        if "same bytes as an uninterrupted" in sentence or "resumes bit for bit" in sentence:
            assert "CPU" in sentence

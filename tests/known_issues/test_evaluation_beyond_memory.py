"""Evaluation on dev ignored train.gradient_accumulation: its batches had the whole train.batch_duration."""

from pathlib import Path
from typing import Any, Dict, List, Tuple

import msgspec
import pytest

pytest.importorskip("lhotse")

import torch

from asrkit.config import TrainConfig
from asrkit.model.acoustic import AcousticModel
from asrkit.pipeline.experiment import Experiment
from asrkit.stages import average
from asrkit.train import average as averaging
from asrkit.train import evaluate, loop
from asrkit.train.optimizer import make_optimizer
from tests.pipeline.toy import settings
from tests.train.tiny import CONFIG, MODEL, UNITS, make_examples


@pytest.mark.parametrize("accumulation", [1, 4])
def test_batches_of_dev_are_those_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulation: int
) -> None:
    seconds: List[float] = []

    def measure(model: Any, dev: Any, units: Any, batch_duration: float, *_: Any) -> Dict[str, Any]:
        seconds.append(batch_duration)
        return {"errors": 1, "words": 1, "loss": 1.0}

    monkeypatch.setattr(loop, "evaluate", measure)
    config = msgspec.structs.replace(CONFIG, epochs=1, gradient_accumulation=accumulation)
    model, examples = AcousticModel(MODEL, bins=20, units=3), make_examples(3, 0)
    loop.run_training(
        loop.Training(model, make_optimizer(model, config), config, UNITS, examples, examples, tmp_path)
    )
    assert seconds == [config.batch_duration / accumulation]


def test_batches_of_stage_average_are_those_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds: List[float] = []

    def measure(model: Any, dev: Any, units: Any, batch_duration: float, **_: Any) -> Dict[str, Any]:
        seconds.append(batch_duration)
        return {"errors": 1, "words": 1, "loss": 1.0}

    def mean(model: Any, dev: Any, batch_duration: float) -> Tuple[torch.Tensor, int]:
        seconds.append(batch_duration)
        return torch.ones(3), 1

    monkeypatch.setattr(evaluate, "evaluate", measure)
    monkeypatch.setattr(averaging, "label_priors", mean)
    monkeypatch.setattr(average, "_load_average", lambda *_: None)
    train = TrainConfig(batch_duration=100.0, gradient_accumulation=4)
    candidates = msgspec.structs.replace(settings().average, candidates=("best-1",))
    config = msgspec.structs.replace(settings(), train=train, average=candidates)
    experiment, model = Experiment(config, tmp_path, tmp_path, tmp_path, 1), AcousticModel(MODEL, 20, 3)
    average._try_candidates(experiment, model, UNITS, [], [])
    average._divide_by_priors(experiment, model, UNITS, [])
    assert seconds == [25.0, 25.0]


def test_the_stage_may_read_the_setting() -> None:
    assert "train.gradient_accumulation" in average.STAGE.how

import contextlib
import math
from pathlib import Path
from typing import Dict

import msgspec
import pytest
import torch
from torch import Tensor

from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.train import loop, precision
from asrkit.train.checkpoint import TrainState
from asrkit.train.loop import Training, take_step
from asrkit.train.optimizer import make_optimizer
from asrkit.train.precision import check_precision
from asrkit.train.world import GradientSum, World, reduce_gradients
from tests.train.tiny import CONFIG, MODEL, UNITS, make_examples

FLOAT16 = msgspec.structs.replace(CONFIG, precision="float16")


@pytest.fixture(autouse=True)
def float32_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """The float16 code path with float32 products: a CPU has no others."""
    monkeypatch.setattr(loop, "autocast", lambda precision, device: contextlib.nullcontext())


def steps(directory: Path, state: TrainState, config: "loop.TrainConfig" = FLOAT16) -> Dict[str, Tensor]:
    """Weights after three steps."""
    torch.manual_seed(0)
    model = AcousticModel(MODEL, bins=20, units=3).train()
    examples = make_examples(6, 0)
    training = Training(model, make_optimizer(model, config), config, UNITS, examples, [], directory)
    for number in range(3):
        take_step(training, state, [examples[2 * number : 2 * number + 2]], progress=0.0)
    return model.state_dict()


def equal(first: Dict[str, Tensor], second: Dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first if "num_batches" not in name)


def test_the_loss_scale_changes_no_bit(tmp_path: Path) -> None:
    state = TrainState()
    assert equal(steps(tmp_path, state), steps(tmp_path, TrainState(), CONFIG))
    assert state.loss_scale == 2.0**16 and state.steps_at_scale == 3


def test_a_gradient_overflow_is_retried_at_a_smaller_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(
        world: World, model: AcousticModel, counts: Tensor, scale: float, gradients: GradientSum
    ) -> Tensor:
        totals = reduce_gradients(world, model, counts, scale, gradients)
        if scale > 2.0**14:
            next(parameter.grad for parameter in model.parameters()).fill_(math.inf)  # type: ignore[union-attr]
        return totals

    monkeypatch.setattr(loop, "reduce_gradients", overflow)
    state = TrainState(loss_scale=2.0**16)
    weights = steps(tmp_path, state)
    assert state.skipped == 0 and state.step == 3 and state.epoch_utterances == 6
    assert state.loss_scale == 2.0**14
    assert equal(weights, steps(tmp_path, TrainState(), CONFIG))
    assert list(tmp_path.iterdir()) == []


def test_the_loss_scale_grows_after_many_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "STEPS_TO_GROW", 2)
    state = TrainState(loss_scale=8.0)
    steps(tmp_path, state)
    assert state.loss_scale == 16.0 and state.steps_at_scale == 1


def test_a_loss_that_is_not_finite_skips_the_step_at_any_scale(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AcousticModel(MODEL, bins=20, units=3).train()
    examples = make_examples(2, 0)
    examples[0].features.fill_(math.nan)
    training = Training(model, make_optimizer(model, FLOAT16), FLOAT16, UNITS, examples, [], tmp_path)
    state = TrainState()
    take_step(training, state, [examples], progress=0.0)
    assert state.skipped == 1 and state.loss_scale == 2.0**16


def test_float16_without_a_gpu_is_refused() -> None:
    with pytest.raises(UserError, match="float16, and training runs on the cpu") as caught:
        check_precision(FLOAT16, torch.device("cpu"))
    assert "bfloat16" in caught.value.todo
    check_precision(CONFIG, torch.device("cpu"))

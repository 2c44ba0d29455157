from pathlib import Path
from typing import Callable, List

import msgspec
import pytest
import torch

from asrkit.config import TrainConfig
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.storage.files import read_jsonl
from asrkit.storage.tensors import read_metadata
from asrkit.train import loop
from asrkit.train.checkpoint import TrainState
from asrkit.train.loop import Training, run_training
from asrkit.train.optimizer import make_optimizer
from asrkit.train.watch import WINDOW, Divergence, watch_dev, watch_training_loss
from tests.train.tiny import CONFIG, MODEL, UNITS, make_examples

Schedule = Callable[[TrainConfig, int, float], float]
THIRD_EPOCH = range(23, 35)  # steps
ADAMW = msgspec.structs.replace(CONFIG, optimizer="adamw")


def train(directory: Path) -> List[dict]:
    torch.manual_seed(CONFIG.seed)
    model = AcousticModel(MODEL, bins=20, units=3)
    train, dev = make_examples(24, 0), make_examples(4, 1)
    return run_training(Training(model, make_optimizer(model, ADAMW), ADAMW, UNITS, train, dev, directory))


def astray(times: float, rate: float = 2.0) -> Schedule:
    """A schedule with an absurd learning rate in the third epoch, the first `times` times."""
    seen: List[int] = []

    def learning_rate(config: TrainConfig, step: int, progress: float) -> float:
        if step in THIRD_EPOCH and len(seen) < times * len(THIRD_EPOCH):
            seen.append(step)
            return rate if len(seen) <= len(THIRD_EPOCH) else 2 * rate  # cancels the halving
        return 4e-3

    return learning_rate


@pytest.fixture
def scheduled(monkeypatch: pytest.MonkeyPatch) -> Callable[[Schedule], None]:
    return lambda schedule: monkeypatch.setattr(loop, "learning_rate", schedule)


def test_diverged_training_rolls_back_to_the_best_epoch_at_half_the_rate(
    tmp_path: Path, scheduled: Callable[[Schedule], None], capsys: pytest.CaptureFixture[str]
) -> None:
    scheduled(astray(0))
    plain = train(tmp_path / "plain")
    scheduled(astray(1))
    log = train(tmp_path / "astray")
    assert [row["epoch"] for row in log] == [1, 2, 3, 4]
    assert [row["learning_rate"] for row in log] == [4e-3, 4e-3, 2e-3, 2e-3]
    assert [row["loss"] for row in log[:2]] == [row["loss"] for row in plain[:2]]
    assert log[2]["loss"] < 1.0
    assert log == read_jsonl(tmp_path / "astray" / "log.jsonl")
    (said,) = log[2]["rollbacks"]
    assert "rolled back to step 23, half the learning rate" in said
    assert "train: diverged at step 35, epoch 3: the dev loss is" in capsys.readouterr().out
    assert [row["rollbacks"] for row in log[:2]] == [[], []]


def test_a_run_killed_after_a_rollback_ends_the_same(
    tmp_path: Path, scheduled: Callable[[Schedule], None]
) -> None:
    def killed(times: float) -> Schedule:
        schedule = astray(times)

        def learning_rate(config: TrainConfig, step: int, progress: float) -> float:
            if step == 37:
                raise KeyboardInterrupt
            return schedule(config, step, progress)

        return learning_rate

    scheduled(astray(1))
    train(tmp_path / "whole")
    scheduled(killed(1))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed")
    scheduled(astray(0))
    train(tmp_path / "killed")
    files = [f"checkpoints/epoch-{number:04d}.safetensors" for number in (3, 4)]
    for file in files:
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "killed" / file).read_bytes()
    newest = sorted((tmp_path / "killed" / "checkpoints").glob("resume-*"))[-1]
    assert len(read_metadata(newest)["state"]["rollbacks"]) == 1


def test_training_that_diverges_again_stops_with_the_cause(
    tmp_path: Path, scheduled: Callable[[Schedule], None]
) -> None:
    scheduled(astray(2))
    with pytest.raises(UserError, match=r"diverged at step 35, epoch 3, again: the dev loss") as caught:
        train(tmp_path)
    assert "lower train.learning_rate to a quarter" in caught.value.todo


def test_too_many_gradients_that_are_not_finite_are_a_divergence(
    tmp_path: Path, scheduled: Callable[[Schedule], None]
) -> None:
    scheduled(astray(0.1, rate=1e38))  # for one or two steps: the weights overflow float32
    log = train(tmp_path)
    assert log[-1]["skipped"] == 0  # rolled back too
    assert "for the 4th time" in log[-1]["rollbacks"][0]
    assert len(log) == 4


def test_divergence_is_judged_by_the_median_training_loss() -> None:
    state = TrainState()
    for step in range(2 * WINDOW):
        watch_training_loss(state, 0.5 if step % 3 else 5.0)  # hard batches
    assert state.best_loss == 0.5
    for _ in range(WINDOW):
        watch_training_loss(state, 1.1)  # within twice the best and the margin
    for _ in range(WINDOW // 2 - 1):
        watch_training_loss(state, 3.0)
    with pytest.raises(Divergence, match=rf"median of {WINDOW} steps\) is 2\.050"):
        watch_training_loss(state, 3.0)


def test_overfitting_is_no_divergence() -> None:
    log = [{"loss": 0.3, "errors": 40, "words": 400}, {"loss": 0.5, "errors": 30, "words": 400}]
    watch_dev(log, {"loss": 1.5, "errors": 45, "words": 400})
    watch_dev([], {"loss": 9.0, "errors": 400, "words": 400})
    with pytest.raises(Divergence, match=r"the dev loss is 1\.500 with 90 errors"):
        watch_dev(log, {"loss": 1.5, "errors": 90, "words": 400})

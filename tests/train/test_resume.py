import copy
import dataclasses
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, List

import msgspec
import pytest
import torch
from torch import Tensor

from asrkit.config import SpecAugmentConfig, TrainConfig
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel, output_frames
from asrkit.model.padding import MaskedBatchNorm
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.pipeline.parallel import run_parallel
from asrkit.signal.augmentation import SpecAugment
from asrkit.storage.files import read_jsonl
from asrkit.storage.tensors import load_tensors, save_tensors
from asrkit.train import loop
from asrkit.train.augmentation import Augmenter
from asrkit.train.average import average_weights, candidate_files
from asrkit.train.checkpoint import TrainState, list_epochs
from asrkit.train.criterion import count_pairs, make_criterion
from asrkit.train.examples import Example
from asrkit.train.loop import Training, run_training, take_step
from asrkit.train.optimizer import make_optimizer
from asrkit.train.world import ALONE, World, join_launched, join_world
from tests.train.tiny import CONFIG, FRESH, MODEL, UNITS, make_augmenter, make_examples
from tests.train.torchrun import torchrun

pytestmark = pytest.mark.long

FULL = msgspec.structs.replace(  # settings that add to a checkpoint or to the randomness
    CONFIG, processes=2, gradient_accumulation=2, ema_decay=0.9, consistency_weight=0.2, chunk=5
)

SHORT = msgspec.structs.replace(FULL, epochs=2)


def train(directory: Path, config: TrainConfig = CONFIG) -> None:
    torch.set_num_threads(1)
    if config.processes == 1:
        train_in(ALONE, config, directory)
        return
    directory.mkdir(exist_ok=True)
    meet, size = directory / f"rendezvous-{os.getpid()}", config.processes
    run_parallel(
        lambda rank: train_in(join_world(rank, size, meet), config, directory), size, size, lambda *_: None
    )


def train_in(world: World, config: TrainConfig, directory: Path) -> None:
    torch.manual_seed(config.seed)
    has_transducer = config.criterion == "transducer"
    model = AcousticModel(msgspec.structs.replace(MODEL, transducer=has_transducer), bins=20, units=3)
    averaged = copy.deepcopy(model) if config.ema_decay else None
    optimizer = make_optimizer(model, config, world)
    train, dev = make_examples(24, 0), make_examples(4, 1)
    augmenter = Augmenter()
    if config.consistency_weight:
        augmenter = make_augmenter(directory / f"sound-{world.rank}", train)
    pairs = None if config.criterion == "ctc" else count_pairs(config, UNITS, (each.text for each in train))
    training = Training(
        model,
        optimizer,
        config,
        UNITS,
        train,
        dev,
        directory,
        world=world,
        averaged=averaged,
        augmenter=augmenter,
        criterion=make_criterion(config, UNITS, pairs),
    )
    run_training(training)
    save_tensors(directory / f"rank-{world.rank}.safetensors", dict(model.state_dict()), {})


def train_until(directory: Path, sign: str, config: TrainConfig = CONFIG) -> None:
    """Train in a subprocess, and SIGKILL it when a file that matches `sign` appears."""
    process = FRESH.Process(target=train, args=(directory, config))
    process.start()
    while process.is_alive() and not list(directory.glob(sign)):
        time.sleep(0.001)
    assert process.is_alive(), f"the run ended before {sign} appeared"
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()


def weights(directory: Path) -> "dict[str, bytes]":
    return {file.name: file.read_bytes() for file in sorted(directory.glob("checkpoints/epoch-*"))}


def train_in_subprocess(directory: Path, config: TrainConfig) -> None:
    """Train to the end in a subprocess: torch's threads don't survive a fork."""
    process = FRESH.Process(target=train, args=(directory, config))
    process.start()
    process.join()
    assert process.exitcode == 0


MMI = msgspec.structs.replace(FULL, consistency_weight=0.0, criterion="lf-mmi", ctc="k2")
TRANSDUCER = msgspec.structs.replace(FULL, consistency_weight=0.0, criterion="transducer")
WITH_K2 = [pytest.param(config, marks=pytest.mark.k2) for config in (MMI, TRANSDUCER)]


@pytest.mark.parametrize("config", [CONFIG, FULL, *WITH_K2], ids=["plain", "full", "lf-mmi", "transducer"])
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, config: TrainConfig
) -> None:
    """With any number of workers, also with another one at each start."""
    with_workers = [msgspec.structs.replace(config, workers=workers) for workers in (1, 3, 0)]
    train_in_subprocess(tmp_path / "whole", config)
    killed = tmp_path / "killed"
    train_until(killed, "checkpoints/resume-00000003*", with_workers[0])
    train_until(killed, "checkpoints/epoch-0002*", with_workers[1])
    train_in_subprocess(killed, with_workers[2])
    assert len(weights(killed)) >= 2
    assert weights(killed) == weights(tmp_path / "whole")


def launch(directory: Path, *more: str, train: str = "train_launched") -> "subprocess.Popen[bytes]":
    """Train with torchrun and two ranks, in a session of their own."""
    code = f"from tests.train.test_resume import *; {train}(Path({str(directory)!r}))"
    script = directory.with_suffix(".py")
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(torchrun(*more, str(script)), env=environment, start_new_session=True)


def train_launched(directory: Path) -> None:
    torch.set_num_threads(1)
    train_in(join_launched(), SHORT, directory)


def test_torchrun_and_forked_ranks_train_the_same_bytes_also_after_a_kill(tmp_path: Path) -> None:
    train_in_subprocess(tmp_path / "forked", SHORT)
    launched = tmp_path / "launched"
    process = launch(launched)
    while process.poll() is None and not list(launched.glob("checkpoints/epoch-0001*")):
        time.sleep(0.001)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert launch(launched).wait() == 0
    assert len(weights(launched)) == 2
    assert weights(launched) == weights(tmp_path / "forked")


def train_with_one_death(directory: Path) -> None:
    """Rank 1 dies by SIGKILL when the first epoch's checkpoint appears, but not after a restart."""
    if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        threading.Thread(target=die_after_first_epoch, args=(directory,), daemon=True).start()
    train_launched(directory)
    (directory / f"restarts-{os.environ['RANK']}").write_text(os.environ["TORCHELASTIC_RESTART_COUNT"])


def die_after_first_epoch(directory: Path) -> None:
    while not list(directory.glob("checkpoints/epoch-0001*")):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)


def test_torchrun_restarts_all_ranks_after_one_died_and_they_train_the_same_bytes(tmp_path: Path) -> None:
    train_in_subprocess(tmp_path / "forked", SHORT)
    elastic = tmp_path / "elastic"
    assert launch(elastic, "--max_restarts", "1", train="train_with_one_death").wait(timeout=600) == 0
    assert [(elastic / f"restarts-{rank}").read_text() for rank in range(2)] == ["1", "1"]
    assert len(weights(elastic)) == 2
    assert weights(elastic) == weights(tmp_path / "forked")


def train_in_two_folders(folder: Path, queue: Any) -> None:
    """Two ranks, of which only rank 0 sees a checkpoint."""

    def work(rank: int) -> str:
        torch.set_num_threads(1)
        with pytest.raises(UserError) as caught:
            train_in(join_world(rank, 2, folder / "meet"), SHORT, folder / str(rank))
        return str(caught.value)

    run_parallel(work, 2, 2, lambda _, said: queue.put(said))


def test_ranks_that_resume_at_different_steps_are_refused(tmp_path: Path) -> None:
    train_until(tmp_path / "0", "checkpoints/resume-00000003*", msgspec.structs.replace(SHORT, processes=1))
    queue = FRESH.Queue()
    process = FRESH.Process(target=train_in_two_folders, args=(tmp_path, queue))
    process.start()
    said = [queue.get(timeout=600) for _ in range(2)]
    process.join()
    assert all("the ranks resume at steps 3, 0" in each for each in said)
    assert "resume-*" in said[0]


def test_both_ranks_end_with_the_same_model(tmp_path: Path) -> None:
    train_in_subprocess(tmp_path, FULL)
    first, second = (load_tensors(tmp_path / f"rank-{rank}.safetensors")[0] for rank in range(2))
    differing = {name for name in first if not torch.equal(first[name], second[name])}
    assert not {name for name in differing if not name.endswith("num_batches_tracked")}
    assert [row["utterances"] for row in read_jsonl(tmp_path / "log.jsonl")] == [24] * CONFIG.epochs


def test_a_damaged_checkpoint_is_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "whole")
    damaged = tmp_path / "damaged"
    train_until(damaged, "checkpoints/epoch-0003*")
    newest = sorted(damaged.glob("checkpoints/resume-*"))[-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    train(damaged)
    assert f"ignoring damaged checkpoint {newest.name}" in capsys.readouterr().out
    assert weights(damaged) == weights(tmp_path / "whole")


def test_average_is_the_mean_of_the_chosen_epochs(tmp_path: Path) -> None:
    train(tmp_path)
    epochs = list_epochs(tmp_path / "checkpoints")
    files = candidate_files("last-3", epochs)
    assert [file.name for file in files] == [file.name for file, _ in epochs[-3:]]
    averaged = average_weights(files)["output.weight"]
    expected = torch.stack([load_tensors(file)[0]["output.weight"] for file in files]).mean(dim=0)
    torch.testing.assert_close(averaged, expected)
    best = candidate_files("best-1", epochs)[0]
    assert min(row["errors"] for _, row in epochs) == dict(epochs)[best]["errors"]


def with_nan(tmp_path: Path, epochs: int) -> Training:
    """A run with NaN features in the third utterance; without frequency masks, which could hide them."""
    torch.manual_seed(0)
    model = AcousticModel(MODEL, bins=20, units=3)
    examples = make_examples(12, 0)
    examples[2].features.fill_(float("nan"))
    config = msgspec.structs.replace(CONFIG, epochs=epochs)
    augmenter = Augmenter(features=(SpecAugment(SpecAugmentConfig(frequency_masks=0)),))
    optimizer = make_optimizer(model, config)
    return Training(model, optimizer, config, UNITS, examples, examples[:1], tmp_path, augmenter=augmenter)


def test_accumulated_batches_are_weighted_by_frames(tmp_path: Path) -> None:
    """Two accumulated batches give the gradient of one joint batch, per frame."""
    examples = make_examples(5, 0)
    halves = [examples[:2], examples[2:]]

    def step(batches: List[List[Example]], accumulate: int) -> Tensor:
        torch.manual_seed(0)
        model = AcousticModel(msgspec.structs.replace(MODEL, dropout=0.0), bins=20, units=3)
        for module in model.modules():  # statistics of the smaller batches would differ
            if isinstance(module, MaskedBatchNorm):
                module.forward = lambda x, padding: x  # type: ignore[method-assign]
        config = msgspec.structs.replace(
            CONFIG, gradient_accumulation=accumulate, optimizer="adamw", gradient_clip=1e9
        )
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        plain = Augmenter(features=())
        training = Training(
            model, optimizer, config, UNITS, examples, examples[:1], tmp_path, augmenter=plain
        )
        state = TrainState(step=100)  # after warm-up
        take_step(training, state, batches, progress=0.0)
        assert state.epoch_frames == sum(output_frames(MODEL, len(e.features)) for e in examples)
        return model.output.weight.detach()

    torch.testing.assert_close(step(halves, 2), step([examples], 1))


def test_half_precision_trains_and_keeps_float32_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AcousticModel(MODEL, bins=20, units=3)
    config = msgspec.structs.replace(CONFIG, precision="bfloat16", epochs=2)
    examples = make_examples(12, 0)
    optimizer = make_optimizer(model, config)
    log = run_training(Training(model, optimizer, config, UNITS, examples, examples[:3], tmp_path))
    assert log[1]["train_loss"] < log[0]["train_loss"] and log[1]["skipped"] == 0
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}


def test_the_moving_average_is_kept_instead_of_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "average_decay", lambda decay, step: decay)  # from the first step on
    still = msgspec.structs.replace(CONFIG, ema_decay=1.0, epochs=1)
    train(tmp_path, still)
    torch.manual_seed(still.seed)
    first = AcousticModel(MODEL, bins=20, units=3).state_dict()
    kept, _ = load_tensors(next(tmp_path.glob("checkpoints/epoch-*")))
    assert all(torch.equal(kept[name], tensor) for name, tensor in first.items() if "num_batches" not in name)


def test_a_step_that_is_not_finite_is_undone_and_its_batch_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = with_nan(tmp_path, epochs=3)
    log = run_training(training)
    assert [row["skipped"] for row in log] == [1, 2, 3]
    assert all(row["utterances"] < 12 for row in log)
    assert all(torch.isfinite(tensor).all() for tensor in training.model.state_dict().values())
    assert "features of u2 hold NaN or infinity" in capsys.readouterr().out
    kept = sorted((tmp_path / "skipped_steps").iterdir())
    tensors, about = load_tensors(kept[0])
    assert len(kept) == 3 and torch.isnan(tensors["u2"]).any()
    assert {row["id"] for row in about["examples"]} == set(tensors)


def test_steps_that_are_not_finite_are_counted_in_a_window(tmp_path: Path) -> None:
    """One in six steps."""
    training = with_nan(tmp_path, epochs=5)
    config = msgspec.structs.replace(training.config, skip_window=12)
    log = run_training(dataclasses.replace(training, config=config))
    assert [row["skipped"] for row in log] == [1, 2, 3, 4, 5]


def test_too_many_steps_that_are_not_finite_stop_with_the_cause(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="for the 4th time: features of u") as caught:
        run_training(with_nan(tmp_path, epochs=4))
    assert "skipped_steps" in caught.value.where
    assert "train.learning_rate" in caught.value.todo

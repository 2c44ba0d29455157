import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import List

import msgspec
import pytest
import torch

from asrkit.config import ModelConfig, TrainConfig
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.pipeline.parallel import run_parallel
from asrkit.storage.tensors import load_tensors, save_tensors
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units
from asrkit.train.average import average_weights, candidate_files
from asrkit.train.checkpoint import list_epochs
from asrkit.train.examples import Example
from asrkit.train.loop import Training, run_training
from asrkit.train.optimizer import make_optimizer
from asrkit.train.world import ALONE, World, join_world

MODEL = ModelConfig(
    stem_channels=4,
    stage_blocks=(1,),
    stage_channels=(8,),
    stage_time_strides=(2,),
    stage_frequency_strides=(2,),
    attention_blocks=1,
    attention_dim=16,
    attention_heads=2,
    feedforward_dim=32,
    dropout=0.2,
)
CONFIG = TrainConfig(
    epochs=4, batch_duration=2.0, buckets=2, checkpoint_steps=3, warmup_steps=4, keep_best=2, keep_last=2
)
UNITS = Units(["<blk>", "A", "B"], [Pronunciation("A", ("A",)), Pronunciation("B", ("B",))])


def make_examples(count: int, seed: int) -> List[Example]:
    random = torch.Generator().manual_seed(seed)
    examples = []
    for index in range(count):
        frames = int(torch.randint(40, 90, (1,), generator=random))
        words = ["AB"[int(torch.randint(0, 2, (1,), generator=random))] for _ in range(3)]
        features, text = torch.randn(frames, 20, generator=random), " ".join(words)
        examples.append(Example(f"u{index}", features, UNITS.encode(text), text, frames / 100))
    return examples


def train(directory: Path, size: int = 1) -> None:
    torch.set_num_threads(1)
    if size == 1:
        train_in(ALONE, directory)
        return
    directory.mkdir(exist_ok=True)
    meet = directory / f"rendezvous-{os.getpid()}"
    run_parallel(lambda rank: train_in(join_world(rank, size, meet), directory), size, size, lambda *_: None)


def train_in(world: World, directory: Path) -> None:
    torch.manual_seed(CONFIG.seed)
    model = AcousticModel(MODEL, bins=20, units=3)
    optimizer = make_optimizer(model, CONFIG, world)
    train, dev = make_examples(24, 0), make_examples(4, 1)
    run_training(Training(model, optimizer, CONFIG, UNITS, train, dev, directory, world))
    save_tensors(directory / f"rank-{world.rank}.safetensors", dict(model.state_dict()), {})


def train_until(directory: Path, sign: str, size: int = 1) -> None:
    """Train in a process of its own, and SIGKILL it when a file like `sign` appears."""
    process = multiprocessing.get_context("spawn").Process(target=train, args=(directory, size))
    process.start()
    while process.is_alive() and not list(directory.glob(sign)):
        time.sleep(0.001)
    assert process.is_alive(), f"the run ended before {sign} appeared"
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()


def weights(directory: Path) -> "dict[str, bytes]":
    return {file.name: file.read_bytes() for file in sorted(directory.glob("checkpoints/epoch-*"))}


def train_apart(directory: Path, size: int) -> None:
    """Train to the end in a process of its own: torch's threads don't survive a fork."""
    process = multiprocessing.get_context("spawn").Process(target=train, args=(directory, size))
    process.start()
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize("size", [1, 2])
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path, size: int) -> None:
    train_apart(tmp_path / "whole", size)
    killed = tmp_path / "killed"
    train_until(killed, "checkpoints/resume-00000003*", size)
    train_until(killed, "checkpoints/epoch-0002*", size)
    train_apart(killed, size)
    assert len(weights(killed)) >= 2
    assert weights(killed) == weights(tmp_path / "whole")


def test_two_processes_hold_the_same_model(tmp_path: Path) -> None:
    train_apart(tmp_path, 2)
    first, second = (load_tensors(tmp_path / f"rank-{rank}.safetensors")[0] for rank in range(2))
    differing = {name for name in first if not torch.equal(first[name], second[name])}
    assert not {name for name in differing if not name.endswith("num_batches_tracked")}


def test_a_damaged_resume_point_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "whole")
    damaged = tmp_path / "damaged"
    train_until(damaged, "checkpoints/epoch-0003*")
    newest = sorted(damaged.glob("checkpoints/resume-*"))[-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    train(damaged)
    assert f"{newest.name} is damaged and passed over" in capsys.readouterr().out
    assert weights(damaged) == weights(tmp_path / "whole")


def test_average_is_the_mean_of_the_epochs_chosen(tmp_path: Path) -> None:
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
    """A run whose third utterance is NaN; without masks over frequency, which may hide all of it."""
    torch.manual_seed(0)
    model = AcousticModel(MODEL, bins=20, units=3)
    examples = make_examples(12, 0)
    examples[2].features.fill_(float("nan"))
    config = msgspec.structs.replace(CONFIG, epochs=epochs, frequency_masks=0)
    return Training(model, make_optimizer(model, config), config, UNITS, examples, examples[:1], tmp_path)


def test_a_step_that_is_not_finite_leaves_no_trace_and_its_batch_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = with_nan(tmp_path, epochs=3)
    log = run_training(training)
    assert [row["skipped"] for row in log] == [1, 2, 3]
    assert all(torch.isfinite(tensor).all() for tensor in training.model.state_dict().values())
    assert "features of u2 hold NaN or infinity" in capsys.readouterr().out
    kept = sorted((tmp_path / "bad_batches").iterdir())
    tensors, about = load_tensors(kept[0])
    assert len(kept) == 3 and torch.isnan(tensors["u2"]).any()
    assert {row["id"] for row in about["batch"]} == set(tensors)


def test_too_many_steps_that_are_not_finite_stop_with_the_cause(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="for the 4th time: features of u") as caught:
        run_training(with_nan(tmp_path, epochs=4))
    assert "bad_batches" in caught.value.where
    assert "train.learning_rate" in caught.value.todo

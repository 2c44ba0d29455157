"""Damage to a half-finished training was used, or made every later run fail: a bit, a step, a file of another
training, a folder, an epoch's weights changed or gone. Now it is ignored, and the end is bit-equal."""

import re
import shutil
from pathlib import Path
from typing import Callable, Dict, List

import pytest
import torch

from asrkit.model.acoustic import AcousticModel
from asrkit.storage.files import read_jsonl
from asrkit.train import loop
from asrkit.train.loop import Training, run_training
from asrkit.train.optimizer import make_optimizer
from tests.train.tiny import CONFIG, MODEL, UNITS, make_examples

KILLED_AT = 31  # of about 47 steps, in the third of 4 epochs


def train(directory: Path, made_of: str = "this") -> None:
    torch.manual_seed(CONFIG.seed)
    model = AcousticModel(MODEL, bins=20, units=3)
    train, dev = make_examples(24, 0), make_examples(4, 1)
    optimizer = make_optimizer(model, CONFIG)
    run_training(Training(model, optimizer, CONFIG, UNITS, train, dev, directory, made_of=made_of))


def outcome(directory: Path) -> Dict[str, object]:
    times = ("audio_rate", "step_share", "finished")
    log = [{key: row[key] for key in row if key not in times} for row in read_jsonl(directory / "log.jsonl")]
    epochs = {file.name: file.read_bytes() for file in sorted(directory.glob("checkpoints/epoch-*"))}
    points = sorted(file.name for file in directory.glob("checkpoints/*"))
    return {**epochs, "points": points, "log": log}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    directory = tmp_path_factory.mktemp("whole")
    train(directory)
    return directory


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory, whole: Path) -> Path:
    def learning_rate(config: object, step: int, progress: float) -> float:
        if step == KILLED_AT:
            raise KeyboardInterrupt
        return before(config, step, progress)

    before, directory = loop.learning_rate, tmp_path_factory.mktemp("half")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "learning_rate", learning_rate)
        with pytest.raises(KeyboardInterrupt):
            train(directory)
    return directory


@pytest.fixture
def killed(tmp_path: Path, half: Path) -> Path:
    return Path(shutil.copytree(half, tmp_path / "killed"))


def points(directory: Path) -> List[Path]:
    """Resume points, the newest first."""
    return sorted(directory.glob("checkpoints/resume-*"), reverse=True)


def epoch(directory: Path) -> Path:
    return sorted(directory.glob("checkpoints/epoch-*"))[-1]


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 2
    file.write_bytes(content)


def change(old: bytes, new: bytes) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        content = points(directory)[0].read_bytes()
        changed = re.sub(old, new, content, count=1)
        assert changed != content
        points(directory)[0].write_bytes(changed)

    return damage


def become_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()
    (file / "something").write_text("")


def become_loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


def other_training(directory: Path) -> None:
    for file in directory.glob("checkpoints/*"):
        file.rename(directory / file.name)
    train(directory / "other", made_of="another")
    for file in (directory / "other" / "checkpoints").iterdir():
        file.rename(directory / "checkpoints" / file.name)


def later_point_of_another(directory: Path) -> None:
    newest = points(directory)[0]
    content = newest.read_bytes()
    newest.with_name("resume-99999999.safetensors").write_bytes(content.replace(b"this", b"that"))


DAMAGES: Dict[str, Callable[[Path], None]] = {
    "nothing": lambda directory: None,
    "a bit": lambda directory: flip(points(directory)[0]),
    "a bit of both": lambda directory: [flip(file) for file in points(directory)] and None,
    "all empty": lambda directory: (
        [file.write_bytes(b"") for file in directory.glob("checkpoints/*")] and None
    ),
    "all gone": lambda directory: [file.unlink() for file in directory.glob("checkpoints/*")] and None,
    "the step": change(rb'step\\": 3', rb'step\\": 4'),
    "the epoch": change(rb'epoch\\": 2', rb'epoch\\": 3'),
    "a type": change(rb'skipped\\": 0', rb'skipped\\": \['),
    "a key": change(rb"best_loss", rb"best_lass"),
    "a name": change(rb"model.norm.bias", rb"model.norm.bixs"),
    "a folder": lambda directory: become_folder(points(directory)[0]),
    "a loop": lambda directory: become_loop(points(directory)[0]),
    "another training's": other_training,
    "a later point of another": later_point_of_another,
    "an older one in its place": lambda directory: (
        points(directory)[1].replace(points(directory)[0]) and None
    ),
    "a bit of an epoch": lambda directory: flip(epoch(directory)),
    "an older epoch": lambda directory: (
        shutil.copy(sorted(directory.glob("checkpoints/epoch-*"))[0], epoch(directory)) and None
    ),
    "half an epoch": lambda directory: (
        epoch(directory).write_bytes(epoch(directory).read_bytes()[:-90]) and None
    ),
    "an epoch gone": lambda directory: epoch(directory).unlink(),
    "an epoch a folder": lambda directory: become_folder(epoch(directory)),
    "an epoch of another number": lambda directory: (
        epoch(directory).rename(epoch(directory).with_name("epoch-0009.safetensors")) and None
    ),
    "the log zeroed": lambda directory: (directory / "log.jsonl").write_bytes(bytes(99)) and None,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_the_end_is_that_of_an_undamaged_run(
    whole: Path, killed: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    DAMAGES[name](killed)
    capsys.readouterr()
    train(killed)
    said = capsys.readouterr().out
    assert outcome(killed) == outcome(whole)  # bit for bit
    silent = name in ("nothing", "all gone", "an older one in its place", "the log zeroed")
    assert ("ignoring damaged checkpoint" in said) != silent

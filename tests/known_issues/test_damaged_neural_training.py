"""If the training state of a neural language model was damaged, every later run failed."""

from pathlib import Path
from typing import Any, Callable, Dict

import pytest
import torch

from asrkit.config import NeuralLmConfig
from asrkit.lm import neural
from asrkit.storage.tensors import load_tensors, save_tensors

CONFIG = NeuralLmConfig(layers=1, dim=8, epochs=2)
TEXT = ["A B C", "A B"] * 4


def train(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    neural.train_neural(CONFIG, TEXT, ["A B"], folder / "neural.safetensors")
    return folder / "neural.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return train(tmp_path_factory.mktemp("whole")).read_bytes()


@pytest.fixture
def half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The training state after the first of two epochs."""

    def save(state: neural.TrainingState, *values: Any) -> None:
        before(state, *values)
        raise KeyboardInterrupt

    before = neural.TrainingState.save
    with monkeypatch.context() as patch:
        patch.setattr(neural.TrainingState, "save", save)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    return tmp_path / "neural.safetensors.training"


def rewrite(change: Callable[[Dict[str, torch.Tensor], Dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        tensors, about = load_tensors(file)
        tensors = {name: value.clone() for name, value in tensors.items()}
        change(tensors, about)
        save_tensors(file, tensors, about)

    return damage


def become_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGES: Dict[str, Callable[[Path], Any]] = {
    "other bytes": lambda file: file.write_bytes(b"x" * 500),
    "empty": lambda file: file.write_bytes(b""),
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-9]),
    "a folder": become_folder,
    "a tensor gone": rewrite(lambda tensors, about: tensors.pop("adam.1.exp_avg")),
    "another shape": rewrite(lambda tensors, about: tensors.update({"kept.bias": torch.zeros(1)})),
    "no random state": rewrite(lambda tensors, about: tensors.update(random=torch.zeros(5))),
    "a broken random state": rewrite(lambda tensors, about: tensors["random"].fill_(255)),
    "an epoch in words": rewrite(lambda tensors, about: about.update(epoch="one")),
    "no best": rewrite(lambda tensors, about: about.pop("best")),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_training_starts_from_the_beginning_and_ends_the_same(
    half: Path, whole: bytes, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    DAMAGES[name](half)
    capsys.readouterr()
    assert train(half.parent).read_bytes() == whole
    (line, *_) = capsys.readouterr().out.splitlines()
    assert "damaged training state" in line and "starting over" in line
    assert not half.exists()


def test_an_intact_state_is_resumed(half: Path, whole: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert train(half.parent).read_bytes() == whole
    assert "resumes after epoch 1" in capsys.readouterr().out

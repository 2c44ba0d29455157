"""A new encoder block needs one class and one entry to be built, described, trained and averaged."""

import copy
import hashlib
import math
from pathlib import Path
from typing import Optional, get_args

import msgspec
import pytest
import torch
from torch import Tensor, nn

from asrkit.config import ModelConfig, load_config
from asrkit.model.acoustic import AcousticModel
from asrkit.model.description import describe_model
from asrkit.model.encoder import ENCODERS, EncoderBlock
from asrkit.model.front import FRONT_ENDS
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.train.average import average_weights
from asrkit.train.checkpoint import TrainState, save_epoch
from asrkit.train.loop import Training, take_step
from asrkit.train.optimizer import make_optimizer
from tests.train.tiny import CONFIG, MODEL, UNITS, make_examples


class Toy(EncoderBlock):
    """A gate per channel, and the mean over three frames."""

    receptive_frames = 3

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.gate = nn.Linear(config.attention_dim, config.attention_dim)

    def forward(self, x: Tensor, inside: Tensor, positions: Optional[Tensor]) -> Tensor:
        padded = nn.functional.pad(x * inside.view(len(x), -1, 1), (0, 0, 1, 1))
        mean = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3
        return x + self.gate(x).sigmoid() * mean


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> AcousticModel:
    monkeypatch.setitem(ENCODERS, "toy", Toy)
    torch.manual_seed(0)
    return AcousticModel(msgspec.structs.replace(MODEL, encoder="toy", attention_blocks=2), bins=20, units=3)


def test_a_new_block_is_described(toy: AcousticModel) -> None:
    *_, project, first, second, output = describe_model(toy, frame_shift=0.01)
    frames = 25  # per second
    assert first.parameters == 16 * 16 + 16 and first.multiply_adds == frames * 16 * 16
    assert first.receptive_milliseconds == project.receptive_milliseconds + 2 * 40
    assert output.receptive_milliseconds == second.receptive_milliseconds < math.inf


def test_a_new_block_is_trained_and_averaged(toy: AcousticModel, tmp_path: Path) -> None:
    before, optimizer = copy.deepcopy(toy.state_dict()), make_optimizer(toy, CONFIG)
    muon = [weight for group in optimizer.param_groups if group["matrices"] for weight in group["params"]]
    assert any(weight is toy.blocks[1].gate.weight for weight in muon)
    examples = make_examples(4, 0)
    training = Training(toy.train(), optimizer, CONFIG, UNITS, examples, [], tmp_path)
    take_step(training, TrainState(), [examples], progress=0.0)
    moved = toy.blocks[1].gate.weight - before["blocks.1.gate.weight"]
    assert torch.isfinite(moved).all() and moved.any()

    files = [tmp_path / "epoch-0001.safetensors", tmp_path / "epoch-0002.safetensors"]
    for file, weights in zip(files, (before, copy.deepcopy(toy.state_dict()))):
        toy.load_state_dict(weights)
        save_epoch(file, toy, {})
    averaged = average_weights(files)["blocks.1.gate.weight"]
    torch.testing.assert_close(averaged - before["blocks.1.gate.weight"], moved / 2)


def test_settings_list_all_entries_of_the_tables() -> None:
    kinds = {field.name: get_args(field.type) for field in msgspec.structs.fields(ModelConfig)}
    assert list(kinds["encoder"]) == list(ENCODERS)
    assert list(kinds["front"]) == list(FRONT_ENDS)


PARAMETERS = {  # names and shapes that checkpoints of the recipes have
    "yesno": "0c2db64330cf05f4",
    "demo": "e92920ed9c8e3798",
    "an4": "e92920ed9c8e3798",
    "mini_librispeech": "3ba80794830f903c",
    "librispeech": "17dfe6322d4c19c6",
    "aishell": "58e4e2d94e438450",
}


@pytest.mark.parametrize("recipe", PARAMETERS)
def test_parameter_names_of_the_recipes_are_stable(recipe: str) -> None:
    config = load_config(REPOSITORY / "recipes" / recipe / "recipe.yaml")
    state = AcousticModel(config.model, config.features.bins, units=30).state_dict()
    names = "".join(f"{name} {tuple(tensor.shape)}\n" for name, tensor in state.items())
    assert hashlib.sha256(names.encode()).hexdigest()[:16] == PARAMETERS[recipe]

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from click.testing import CliRunner

from asrkit.cli.describe import command
from asrkit.config import ModelConfig
from asrkit.model.acoustic import AcousticModel, output_frames
from asrkit.model.description import describe_model
from asrkit.pipeline.experiment import REPOSITORY

CONFIG = ModelConfig(
    stem_channels=4,
    stage_blocks=(1, 2),
    stage_channels=(4, 8),
    stage_time_strides=(1, 2),
    stage_frequency_strides=(2, 2),
    attention_blocks=0,
    attention_dim=16,
)


@pytest.mark.parametrize(
    "settings",
    [
        {"front": "resnet"},
        {"front": "resnet-bottleneck"},
        {"attention_blocks": 2, "encoder": "convolution", "convolution_kernel": 3},
    ],
    ids=str,
)
def test_receptive_field_is_what_an_output_depends_on(settings: Any) -> None:
    torch.manual_seed(0)
    config = msgspec.structs.replace(CONFIG, **settings)
    model = AcousticModel(config, bins=20, units=7).eval()
    parts = describe_model(model, frame_shift=0.01)
    features = torch.randn(1, 201, 20, requires_grad=True)
    log_probs, _ = model(features, torch.tensor([201]))
    log_probs[0, 25].square().sum().backward()  # a frame in the middle
    assert features.grad is not None
    touched = features.grad[0].abs().sum(dim=1).nonzero().flatten()
    assert 10 * int(touched[-1] - touched[0] + 1) == parts[-1].receptive_milliseconds
    assert parts[-1].frame_milliseconds == 40


def test_multiply_adds_and_parameters_by_hand() -> None:
    config = ModelConfig(
        stem_channels=4, stage_blocks=(1,), stage_channels=(4,), stage_time_strides=(1,), stem_stride=(1, 2),
        stage_frequency_strides=(1,), attention_blocks=1, attention_dim=8, attention_heads=2,
        feedforward_dim=16, convolution_kernel=3,
    )  # fmt: skip
    model = AcousticModel(config, bins=20, units=7)
    stem, layer1, project, block, output = describe_model(model, frame_shift=0.01)
    assert (stem.output, layer1.output, project.output, output.output) == ("4 x 10", "4 x 10", "8", "7")
    assert stem.multiply_adds == 100 * 10 * 4 * 9
    assert layer1.multiply_adds == 100 * 10 * 4 * (2 * 4 * 9)
    assert project.multiply_adds == 100 * 40 * 8
    attention = 8 * 24 + 8 * 8 + 2 * 1000 * 8  # utterance of 1,000 frames
    assert block.multiply_adds == 100 * (attention + 8 * 16 + 8 * 3 + 8 * 8 + 2 * 8 * 16)
    assert sum(part.parameters for part in (stem, layer1, project, block, output)) == model.parameter_count()
    assert block.receptive_milliseconds == output.receptive_milliseconds == float("inf")
    assert project.receptive_milliseconds == 10 * 7


@pytest.mark.parametrize("subsampling", [2, 4, 8])
def test_subsampling_factor(subsampling: int) -> None:
    strides = {2: (2, (1, 1)), 4: (1, (2, 2)), 8: (4, (2, 1))}[subsampling]
    config = msgspec.structs.replace(CONFIG, stem_stride=(strides[0], 2), stage_time_strides=strides[1])
    model = AcousticModel(config, bins=20, units=7).eval()
    log_probs, frames = model(torch.randn(2, 83, 20), torch.tensor([83, 80]))
    assert frames.tolist() == [-(-83 // subsampling), -(-80 // subsampling)]
    assert log_probs.shape[1] == output_frames(config, 83) == int(frames[0])
    assert describe_model(model, frame_shift=0.01)[-1].frame_milliseconds == 10 * subsampling


def test_relative_positions_and_a_decoder_are_counted() -> None:
    config = msgspec.structs.replace(
        CONFIG, attention_blocks=1, attention_heads=2, feedforward_dim=32, encoder="attention",
        positions="relative", decoder_blocks=1,
    )  # fmt: skip
    model = AcousticModel(config, bins=20, units=7)
    *_, block, output, decoder, prediction = describe_model(model, frame_shift=0.01)
    frames = 25  # per second; 250 in the utterance
    attention = 4 * 16 * 16 + 4 * 250 * 16  # queries, keys, values, output; scores of keys and distances
    distances = 2 * 16 * 16  # twice as many as frames
    assert block.multiply_adds == frames * (attention + distances + 2 * 16 * 32)
    keys = 2 * 16 * 16  # of the encoder's frames
    unit = 4 * 16 * 16 + 2 * 100 * 16 + 2 * 16 * 16 + 2 * 250 * 16 + 2 * 16 * 32
    assert decoder.multiply_adds == 10 * unit + frames * keys
    assert prediction.output == "8" and prediction.multiply_adds == 10 * 16 * 8
    assert output.frame_milliseconds == 40 and decoder.frame_milliseconds == 100
    parts = describe_model(model, frame_shift=0.01)
    assert sum(part.parameters for part in parts) == model.parameter_count()


def test_the_command_prints_every_stage_and_the_totals() -> None:
    recipe = str(REPOSITORY / "recipes" / "yesno")
    done = CliRunner().invoke(command, ["--recipe", recipe, "--units", "5"])
    lines = done.output.splitlines()
    assert done.exit_code == 0, done.output
    names = [line.split()[0] for line in lines]
    assert names == ["stage", "stem", "layer1", "layer2", "layer3", "project", "block1", "output", "total:"]
    assert "subsampling factor 8, 5 units" in lines[-1]


def test_settings_can_be_overridden(tmp_path: Path) -> None:
    recipe = str(REPOSITORY / "recipes" / "yesno")
    done = CliRunner().invoke(command, ["--recipe", recipe, "--set", "model.attention_blocks=2"])
    assert "block2" in done.output

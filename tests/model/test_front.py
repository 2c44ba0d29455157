from typing import Any

import pytest
import torch

from asrkit.config import ModelConfig
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.model.front import ResidualFront, SqueezeExcitation
from asrkit.model.padding import Padding

TORCHVISION = {  # parameters of the published models, and inputs of their classifier of 1,000 classes
    "resnet18": (11_689_512, 512),
    "resnet34": (21_797_672, 512),
    "resnet50": (25_557_032, 2048),
    "resnet101": (44_549_160, 2048),
}
WIDTHS = {"stem_channels": 64, "stem_kernel": 7, "stage_channels": (64, 128, 256, 512)}
SMALL = {
    "stem_channels": 4,
    "stage_blocks": (1, 2),
    "stage_channels": (4, 8),
    "stage_time_strides": (1, 2),
    "stage_frequency_strides": (2, 2),
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_presets_have_as_many_parameters_as_torchvisions(name: Any) -> None:
    front = ResidualFront(ModelConfig(front=name, **WIDTHS), bins=80)  # type: ignore[arg-type]
    total, inputs = TORCHVISION[name]
    stem = 64 * 7 * 7 * 2  # one input channel here, three there
    assert sum(p.numel() for p in front.parameters()) == total - 1000 * (inputs + 1) - stem


def test_names_and_shapes_are_torchvisions() -> None:
    front = ResidualFront(ModelConfig(front="resnet50", **WIDTHS), bins=80)  # type: ignore[arg-type]
    shapes = {name: tuple(tensor.shape) for name, tensor in front.state_dict().items()}
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer2.0.conv2.weight"] == (128, 128, 3, 3)
    assert shapes["layer3.5.conv3.weight"] == (1024, 256, 1, 1)
    assert shapes["layer4.2.bn2.running_var"] == (512,)
    assert shapes["conv1.weight"] == (64, 1, 7, 7) and shapes["bn1.bias"] == (64,)
    assert "layer1.1.downsample.0.weight" not in shapes


def test_squeeze_leaves_padding_out_of_the_mean() -> None:
    torch.manual_seed(0)
    squeeze = SqueezeExcitation(6, 2)
    x = torch.randn(1, 6, 9, 5)
    short = squeeze(x[:, :, :4], Padding(torch.tensor([4]), 4))
    torch.testing.assert_close(squeeze(x, Padding(torch.tensor([4]), 9))[:, :, :4], short)


def test_stochastic_depth_skips_whole_utterances_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    config = ModelConfig(stochastic_depth=0.5, **{**SMALL, "stage_blocks": (1, 1)})  # type: ignore[arg-type]
    block = ResidualFront(config, bins=20).layer2[0]
    assert block.drop_rate == 0.5
    x, padding = torch.rand(400, 4, 6, 5), Padding(torch.full((400,), 6), 6)
    branch = torch.ones(400, 8, 3, 3)
    block.branch = lambda *_: branch
    block.downsample = torch.nn.ModuleList([torch.nn.Identity(), ZeroShortcut()])
    y, _ = block(x, padding)
    assert set(y.unique().tolist()) == {0.0, 2.0}
    assert 0.4 < float((y[:, 0, 0, 0] == 0).float().mean()) < 0.6
    assert torch.equal(y.amin(dim=(1, 2, 3)), y.amax(dim=(1, 2, 3)))
    block.eval()
    assert float(block(x, padding)[0].unique()) == 1.0


class ZeroShortcut(torch.nn.Module):
    def forward(self, x: torch.Tensor, padding: Padding) -> torch.Tensor:
        return torch.zeros(len(x), 8, 3, 3)


def test_a_preset_with_settings_for_other_stages_is_refused() -> None:
    with pytest.raises(UserError, match="stage_channels has 3 entries"):
        AcousticModel(ModelConfig(front="resnet18", stage_channels=(8, 8, 8)), bins=20, units=5)


def test_residual_connections_can_be_switched_off() -> None:
    for residual in (True, False):
        front = ResidualFront(ModelConfig(residual=residual, **SMALL), bins=20)  # type: ignore[arg-type]
        for name, parameter in front.named_parameters():
            if ".conv2." in name:
                parameter.data.zero_()
        output, _ = front.eval()(torch.randn(1, 40, 20), torch.tensor([40]))
        assert bool(output.any()) == residual
        assert any("downsample" in name for name, _ in front.named_parameters()) == residual

from pathlib import Path
from typing import Any, Dict

import pytest
import torch
from safetensors.torch import save_file

from asrkit.config import ModelConfig
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.model.front import ResidualFront, SqueezeExcitation, load_pretrained
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


RESNET18 = ModelConfig(front="resnet18", stem_channels=8, stem_kernel=7, stage_channels=(8, 16, 16, 16))


def torchvision_like(file: Path) -> Dict[str, torch.Tensor]:
    """Tensors with torchvision's names, three input channels and a classifier."""
    torch.manual_seed(1)
    tensors = {name: torch.randn(t.shape) for name, t in ResidualFront(RESNET18, 80).state_dict().items()}
    tensors["conv1.weight"] = torch.randn(8, 3, 7, 7)
    tensors["fc.weight"] = torch.randn(10, 16)
    tensors = {name: t.contiguous() for name, t in tensors.items() if "num_batches" not in name}
    save_file(tensors, str(file))
    return tensors


def test_weights_are_copied_and_input_channels_summed(tmp_path: Path) -> None:
    given, front = torchvision_like(tmp_path / "resnet.safetensors"), ResidualFront(RESNET18, 80)
    taken, left = load_pretrained(front, tmp_path / "resnet.safetensors")
    own = front.state_dict()
    grey = torch.randn(1, 1, 20, 20)
    coloured = torch.nn.functional.conv2d(grey.expand(1, 3, 20, 20), given["conv1.weight"])
    torch.testing.assert_close(torch.nn.functional.conv2d(grey, own["conv1.weight"]), coloured)
    assert torch.equal(own["layer3.1.bn2.running_var"], given["layer3.1.bn2.running_var"])
    assert len(taken) == len(given) - 1
    assert "fc.weight: not in the model" in left
    assert own["layer1.0.conv1.weight"].is_contiguous(memory_format=torch.channels_last)


def test_mismatches_are_listed_with_both_shapes(tmp_path: Path) -> None:
    torchvision_like(tmp_path / "resnet.safetensors")
    wider = ResidualFront(
        ModelConfig(front="resnet18", stem_channels=8, stem_kernel=3, stage_channels=(8, 16, 16, 24)), 80
    )
    before = wider.conv1.weight.clone()
    _, left = load_pretrained(wider, tmp_path / "resnet.safetensors")
    assert "conv1.weight: found (8, 1, 7, 7), expected (8, 1, 3, 3)" in left
    assert "layer4.1.conv2.weight: found (16, 16, 3, 3), expected (24, 24, 3, 3)" in left
    assert torch.equal(wider.conv1.weight, before)


@pytest.mark.parametrize("content", [{"other": torch.zeros(2)}, None])
def test_a_file_without_matching_tensors_is_refused(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "x.safetensors"
    if content is None:
        file.write_bytes(b"not tensors")
    else:
        save_file(content, str(file))
    with pytest.raises(UserError, match=r"x\.safetensors"):
        load_pretrained(ResidualFront(RESNET18, 80), file)


def test_names_of_wespeaker_are_taken_with_kernels_over_time_and_frequency_exchanged(tmp_path: Path) -> None:
    tensors = torchvision_like(tmp_path / "x.safetensors")
    tensors = {name.replace("downsample", "shortcut"): tensor for name, tensor in tensors.items()}
    tensors["conv1.weight"] = torch.randn(8, 1, 7, 7)
    save_file(tensors, str(tmp_path / "x.safetensors"))
    front = ResidualFront(RESNET18, 80)
    taken, left = load_pretrained(front, tmp_path / "x.safetensors")
    assert "layer2.0.downsample.0.weight" in taken and not [line for line in left if "shortcut" in line]
    assert torch.equal(front.conv1.weight, tensors["conv1.weight"].transpose(2, 3))
    assert torch.equal(front.layer2[0].downsample[1].bias, tensors["layer2.0.shortcut.1.bias"])

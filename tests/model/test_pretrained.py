from pathlib import Path
from typing import Any, Dict

import pytest
import torch
from safetensors.torch import save_file

from asrkit.config import ModelConfig
from asrkit.errors import UserError
from asrkit.model.front import ResidualFront, load_pretrained

CONFIG = ModelConfig(front="resnet18", stem_channels=8, stem_kernel=7, stage_channels=(8, 16, 16, 16))


def torchvision_like(file: Path) -> Dict[str, torch.Tensor]:
    """Tensors with torchvision's names, three input channels and a classifier."""
    torch.manual_seed(1)
    tensors = {name: torch.randn(t.shape) for name, t in ResidualFront(CONFIG, 80).state_dict().items()}
    tensors["conv1.weight"] = torch.randn(8, 3, 7, 7)
    tensors["fc.weight"] = torch.randn(10, 16)
    tensors = {name: t.contiguous() for name, t in tensors.items() if "num_batches" not in name}
    save_file(tensors, str(file))
    return tensors


def test_weights_are_copied_and_input_channels_summed(tmp_path: Path) -> None:
    given, front = torchvision_like(tmp_path / "resnet.safetensors"), ResidualFront(CONFIG, 80)
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
        load_pretrained(ResidualFront(CONFIG, 80), file)

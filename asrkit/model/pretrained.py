"""Start the residual front from ImageNet weights in torchvision's format."""

from pathlib import Path
from typing import Dict, List, Tuple

import torch
from torch import Tensor

from asrkit.errors import UserError
from asrkit.model.residual import ResidualFront
from asrkit.storage.tensors import load_tensors


def load_pretrained(front: ResidualFront, file: Path) -> Tuple[List[str], List[str]]:
    """Copy what fits from a state dict of torchvision's ResNet, a safetensors file.

    The first convolution's three input channels are added into one: a grey picture gives what it gave.
    Returns names taken and, with the reason, names left. Raises UserError when nothing fits,
    or the file can't be read.
    """
    given, _ = load_tensors(file, check=False)
    own = front.state_dict()
    if "conv1.weight" in given and given["conv1.weight"].dim() == 4:
        given["conv1.weight"] = given["conv1.weight"].sum(dim=1, keepdim=True)
    taken, left = _compare(own, given)
    if not taken:
        raise UserError(
            f"none of the {len(given)} tensors of {file.name} fits the model's front",
            expected="names such as layer1.0.conv1.weight, and shapes as of model.depth and widths",
            where=str(file),
            todo="asrkit describe shows the model; torchvision's: stem_kernel 7, channels 64, 128, 256, 512",
        )
    with torch.no_grad():
        for name in taken:
            own[name].copy_(given[name])
    return taken, left


def _compare(own: Dict[str, Tensor], given: Dict[str, Tensor]) -> Tuple[List[str], List[str]]:
    taken: List[str] = []
    left: List[str] = []
    for name, tensor in given.items():
        if name not in own:
            left.append(f"{name}: not in the model")
        elif own[name].shape != tensor.shape:
            left.append(f"{name}: found {tuple(tensor.shape)}, expected {tuple(own[name].shape)}")
        else:
            taken.append(name)
    left += [f"{name}: not in the file" for name in own if name not in given]
    return taken, left

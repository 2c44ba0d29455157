"""Initialise the residual front end from ImageNet weights in torchvision's format."""

from pathlib import Path
from typing import List, Tuple

import torch

from asrkit.errors import UserError
from asrkit.model.residual import FrontEnd
from asrkit.storage.tensors import load_tensors


def load_pretrained(front: FrontEnd, file: Path) -> Tuple[List[str], List[str]]:
    """Copy the matching tensors of a torchvision ResNet, saved as safetensors, into the front end.

    The three input channels of the first convolution are summed: the output for a grey image stays the same.
    Returns the names of the tensors taken, and those not taken with the reason. Raises UserError if the file
    can't be read or nothing matches.
    """
    given, _ = load_tensors(file, check=False)
    if "conv1.weight" in given and given["conv1.weight"].dim() == 4:
        given["conv1.weight"] = given["conv1.weight"].sum(dim=1, keepdim=True)
    own = front.state_dict()
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
    if not taken:
        raise UserError(
            f"none of the {len(given)} tensors of {file.name} matches the front end",
            expected="names such as layer1.0.conv1.weight, with shapes as of model.front and widths",
            where=str(file),
            todo="asrkit describe prints the model; torchvision: stem_kernel 7, channels 64, 128, 256, 512",
        )
    with torch.no_grad():
        for name in taken:
            own[name].copy_(given[name])
    return taken, left

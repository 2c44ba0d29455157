"""Averages of weights: over epoch checkpoints, and over steps (EMA)."""

from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import torch
from torch import Tensor, nn

from asrkit.storage.tensors import load_tensors
from asrkit.train.checkpoint import dev_rank


def candidate_files(name: str, epochs: List[Tuple[Path, Dict[str, Any]]]) -> List[Path]:
    """The checkpoints of a candidate such as "best-3" or "last-5"; fewer if there are fewer."""
    kind, _, count = name.partition("-")
    ordered = sorted(epochs, key=lambda item: dev_rank(item[1])) if kind == "best" else epochs[::-1]
    return sorted(file for file, _ in ordered[: int(count)])


def average_weights(files: Sequence[Path]) -> Dict[str, Tensor]:
    """Mean of each tensor over checkpoints, summed in float64 in the order of the files."""
    total: Dict[str, Tensor] = {}
    for file in files:
        tensors, _ = load_tensors(file, check=False)  # list_epochs has checked them
        for name, tensor in tensors.items():
            total[name] = total[name] + tensor.double() if name in total else tensor.double()
    return {name: (value / len(files)).to(tensors[name].dtype) for name, value in total.items()}


@torch.no_grad()
def update_average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of weights and statistics: mean * decay + model * (1 - decay)."""
    for mean, current in zip(averaged.state_dict().values(), model.state_dict().values()):
        if mean.is_floating_point():
            mean.lerp_(current, 1.0 - decay)
        else:
            mean.copy_(current)

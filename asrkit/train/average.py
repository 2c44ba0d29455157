"""Averages of weights: over epoch checkpoints, and over steps (EMA)."""

from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import torch
from torch import Tensor, nn

from asrkit.model.acoustic import AcousticModel
from asrkit.model.device import move
from asrkit.storage.tensors import load_tensors
from asrkit.train.checkpoint import dev_rank
from asrkit.train.evaluate import batch_by_length
from asrkit.train.examples import Example, collate


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
def label_priors(
    model: AcousticModel, examples: Sequence[Example], batch_duration: float
) -> Tuple[Tensor, int]:
    """The label priors (unit,), which are the mean posteriors of `examples`, and the number of frames."""
    total = torch.zeros(model.units, dtype=torch.float64)
    frames = 0
    for batch in batch_by_length(examples, batch_duration):
        features, lengths = collate(batch)
        log_probs, counts = model(move(features, model.feature_mean.device), lengths)
        for row, count in zip(log_probs, counts.tolist()):
            total += row[:count].exp().sum(dim=0).double().cpu()
            frames += count
    return total / max(1, frames), frames


@torch.no_grad()
def divide_by_priors(model: AcousticModel, priors: Tensor, scale: float) -> Tensor:
    """Divide the posteriors by the label priors (unit,) to the power `scale`, in the output layer's bias.

    Returns what was subtracted from the bias (unit,).

    Posteriors prefer blank and the units that are frequent in training, which the language model prefers too.
    Division by priors gives the search likelihoods, as in hybrid recognisers (Bourlard and Morgan 1994; with
    CTC: Miao et al. 2015, EESEN).

        posterior  blank 0.90  A 0.09  B 0.01      divided by the root of the priors 0.64, 0.09, 0.01:
        and normalised again   0.74    0.20    0.07
    """
    # A unit that dev hardly has gets the prior of one in a frame of 10,000 at least, not a bonus without end
    subtracted = scale * priors.clamp(min=1e-4).log().to(model.output.bias)
    model.output.bias -= subtracted
    return subtracted.cpu()


def average_decay(decay: float, step: int) -> float:
    """The decay of a moving average after `step` steps, which rises from 0.1 to `decay`.

    With a constant decay of 0.999, the random weights of the start would be 61 % of the average after 500
    steps.
    Source: TensorFlow's ExponentialMovingAverage, num_updates.
    """
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of weights and statistics: mean * decay + model * (1 - decay)."""
    for mean, current in zip(averaged.state_dict().values(), model.state_dict().values()):
        if mean.is_floating_point():
            mean.lerp_(current, 1.0 - decay)
        else:
            mean.copy_(current)

"""Optimisers (AdamW; Muon for weight matrices with AdamW for the rest) and learning-rate schedules."""

import math
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn

from asrkit.config import TrainConfig
from asrkit.model.acoustic import AcousticModel
from asrkit.train.world import ALONE, World

ADAMW_BETAS = (0.9, 0.98)  # shorter memory than the usual 0.999: runs here are short
ADAMW_RMS = 0.2  # root mean square of an AdamW update; Muon's updates are scaled to it
MOMENTUM = 0.95
ITERATIONS = 3  # Newton-Schulz; Jordan et al. take 5, here 3 trained as well and cost less
EDEN_STEPS, EDEN_EPOCHS = 5000.0, 6.0  # where the decay with steps and with epochs sets in


class Muon(torch.optim.AdamW):
    """Muon (Jordan et al. 2024): the update of a weight matrix is its momentum, nearly orthogonalised.

    Applies to groups with `matrices` above 0, whose weights are that many matrices on top of each other;
    other groups get AdamW. Updates are scaled by 0.2 sqrt(longer side) to the size of AdamW's, so that one
    learning rate serves both (Liu et al. 2025, "Muon is scalable for LLM training").
    """

    def __init__(self, groups: List[Dict[str, Any]], world: World, **options: Any) -> None:
        super().__init__(groups, **options)
        self.world = world

    @torch.no_grad()
    def step(self, closure: Optional[Callable[[], float]] = None) -> Optional[float]:  # type: ignore[override]
        """Update all parameters. Clears the gradients of the matrices."""
        updates = self._orthogonal_updates()
        for (weight, group), update in zip(self._matrices(), updates):
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            weight.sub_(update, alpha=group["lr"])
            weight.grad = None  # so that AdamW skips it
        loss: Optional[float] = super().step(closure)
        return loss

    def _matrices(self) -> List[Tuple[Tensor, Dict[str, Any]]]:
        return [(w, g) for g in self.param_groups if g["matrices"] for w in g["params"] if w.grad is not None]

    def _orthogonal_updates(self) -> List[Tensor]:
        """Each rank computes its share of the updates."""
        updates = []
        for index, (weight, group) in enumerate(self._matrices()):
            state = self.state[weight]
            if not state:
                state["momentum"] = torch.zeros_like(weight)
                state["step"] = torch.zeros(())  # unused, but AdamW expects it when a state is loaded
            state["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
            if index % self.world.size == self.world.rank:
                update = torch.lerp(weight.grad, state["momentum"], MOMENTUM)  # Nesterov momentum
                updates.append(orthogonal_update(update, group["matrices"]))
            else:
                updates.append(torch.zeros_like(weight))
        self.world.all_reduce_many(updates)
        return updates


def orthogonal_update(update: Tensor, matrices: int) -> Tensor:
    """(row, ...) with each of its `matrices` blocks of rows nearly orthogonalised and scaled."""
    blocks = update.flatten(1).chunk(matrices)
    scaled = [orthogonalise(block) * (ADAMW_RMS * max(block.shape) ** 0.5) for block in blocks]
    return torch.cat(scaled).view(update.shape)


def orthogonalise(matrix: Tensor) -> Tensor:
    """Move the singular values of (row, column) towards 1: those above 1/30 of the norm end in 0.68 to 1.21.

    Newton-Schulz iteration with the polynomial of Jordan et al. (2024), chosen for its steep slope at 0.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def make_optimizer(model: AcousticModel, config: TrainConfig, world: World = ALONE) -> torch.optim.Optimizer:
    """The optimiser of train.optimizer, without weight decay for biases and normalisation weights.

    Muon gets the weights of maps between hidden vectors: not the first and last layers, nor depthwise
    convolutions. With adamw no group has matrices, and Muon without matrices is AdamW.
    """
    decoder = [] if model.decoder is None else [model.decoder.stages()]
    ends = [] if model.transducer is None else model.transducer.ends()
    for stages in (model.stages(), *decoder):
        ends += [stages[0].modules[0], stages[-1].modules[-1]]
    matrices: Dict[int, List[nn.Parameter]] = {1: [], 2: [], 3: []}  # by matrices per weight
    for module in model.modules() if config.optimizer == "muon" else ():
        weight = module._parameters.get("weight")
        depthwise = getattr(module, "groups", 1) > 1
        trained = weight is not None and weight.requires_grad
        if trained and weight.dim() > 1 and not depthwise and module not in ends:
            matrices.setdefault(getattr(module, "matrices", 1), []).append(weight)
    taken = {id(weight) for weights in matrices.values() for weight in weights}
    rest = [each for each in model.parameters() if each.requires_grad and id(each) not in taken]
    decay = {"weight_decay": config.weight_decay}
    groups: List[Dict[str, Any]] = [
        {"params": weights, "matrices": count, **decay} for count, weights in matrices.items() if weights
    ]
    groups.append({"params": [p for p in rest if p.dim() > 1], "matrices": 0, **decay})
    groups.append({"params": [p for p in rest if p.dim() <= 1], "matrices": 0, "weight_decay": 0.0})
    return Muon(groups, world, lr=config.learning_rate, betas=ADAMW_BETAS)


def learning_rate(config: TrainConfig, step: int, progress: float) -> float:
    """train.learning_rate with linear warm-up and the decay of train.schedule.

    `step` counts from 0; `progress` is the fraction of the run that is done, 0 to 1.
    """
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    return config.learning_rate * warmup * SCHEDULES[config.schedule](config, step, progress)


def _cosine(config: TrainConfig, step: int, progress: float) -> float:
    """Half a cosine over the whole run (Loshchilov and Hutter 2017, SGDR, without restarts)."""
    floor = config.final_rate_fraction
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def _noam(config: TrainConfig, step: int, progress: float) -> float:
    """1 / sqrt(step) after warm-up (Vaswani et al. 2017)."""
    return min(1.0, math.sqrt(max(1, config.warmup_steps) / (step + 1)))


def _eden(config: TrainConfig, step: int, progress: float) -> float:
    """Decay with the square root of steps and of epochs (Yao et al. 2023, Zipformer)."""
    steps, epochs = step / EDEN_STEPS, progress * config.epochs / EDEN_EPOCHS
    return float(((1.0 + steps**2) * (1.0 + epochs**2)) ** -0.25)


SCHEDULES = {"cosine": _cosine, "noam": _noam, "eden": _eden}

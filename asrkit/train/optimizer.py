"""Optimisers: AdamW, and Muon for the matrices with AdamW for the rest."""

from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn

from asrkit.config import TrainConfig
from asrkit.model.acoustic import AcousticModel
from asrkit.train.world import ALONE, World

ADAMW_SIZE = 0.2  # root mean square of an AdamW update, which Muon's is scaled to
MOMENTUM = 0.95
ITERATIONS = 3  # of Newton and Schulz; Jordan et al. take 5, 3 trained as well here and cost less
STACKED = {"query_key_value": 3, "key_value": 2}  # layers whose weight is several matrices


class Muon(torch.optim.AdamW):
    """Muon (Jordan et al. 2024): the momentum of a weight matrix, made nearly orthogonal, is its update.

    Groups with `matrices` above 0 are treated so, each weight as that many matrices on top of each other;
    other groups get AdamW. Updates are scaled by 0.2 sqrt(longer side), which gives them the size of
    AdamW's, so that one learning rate serves both (Liu et al. 2025, "Muon is scalable for LLM training").
    """

    def __init__(self, groups: List[Dict[str, Any]], world: World, **options: Any) -> None:
        super().__init__(groups, **options)
        self.world = world

    @torch.no_grad()
    def step(self, closure: Optional[Callable[[], float]] = None) -> Optional[float]:  # type: ignore[override]
        """Update all parameters; the gradients of the matrices are gone afterwards."""
        updates = self._orthogonal_updates()
        for (weight, group), update in zip(self._matrices(), updates):
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            weight.sub_(update, alpha=group["lr"])
            weight.grad = None  # AdamW passes over what has no gradient
        loss: Optional[float] = super().step(closure)
        return loss

    def _matrices(self) -> List[Tuple[Tensor, Dict[str, Any]]]:
        return [(w, g) for g in self.param_groups if g["matrices"] for w in g["params"] if w.grad is not None]

    def _orthogonal_updates(self) -> List[Tensor]:
        """The updates, of which each process computes its share."""
        updates = []
        for index, (weight, group) in enumerate(self._matrices()):
            state = self.state[weight]
            if not state:
                state["momentum"] = torch.zeros_like(weight)
                state["step"] = torch.zeros(())  # unused; AdamW looks for it when it loads a state
            state["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
            if index % self.world.size == self.world.rank:
                update = torch.lerp(weight.grad, state["momentum"], MOMENTUM)  # Nesterov's look ahead
                updates.append(orthogonal_update(update, group["matrices"]))
            else:
                updates.append(torch.zeros_like(weight))
        self.world.sum_all(updates)
        return updates


def orthogonal_update(update: Tensor, matrices: int) -> Tensor:
    """(row, ...) with each of its `matrices` blocks of rows made nearly orthogonal, and scaled."""
    blocks = update.flatten(1).chunk(matrices)
    scaled = [orthogonalise(block) * (ADAMW_SIZE * max(block.shape) ** 0.5) for block in blocks]
    return torch.cat(scaled).view(update.shape)


def orthogonalise(matrix: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Move the singular values of (row, column) towards 1: those above a 30th of the norm
    end between 0.68 and 1.21.

    Newton and Schulz's iteration with the polynomial of Jordan et al. (2024), whose coefficients they chose
    for a steep rise at 0.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def make_optimizer(model: AcousticModel, config: TrainConfig, world: World = ALONE) -> torch.optim.Optimizer:
    """The optimiser of train.optimizer; biases and normalisation weights don't decay.

    With adamw no group has matrices, and Muon without matrices is AdamW. Muon leaves to AdamW what isn't a
    map from hidden vectors to hidden vectors: the first convolution, embeddings, output layers, and
    convolutions of each channel by itself.
    """
    outer = (model.front.conv1, model.output, getattr(model.decoder, "output", None))
    matrices: Dict[int, List[nn.Parameter]] = {1: [], 2: [], 3: []}
    for name, module in model.named_modules():
        hidden = isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
        if hidden and config.optimizer == "muon" and module not in outer:
            matrices[STACKED.get(name.rpartition(".")[2], 1)].append(module.weight)
    taken = {id(weight) for weights in matrices.values() for weight in weights}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    decay, none = {"weight_decay": config.weight_decay}, {"weight_decay": 0.0}
    groups: List[Dict[str, Any]] = [
        {"params": weights, "matrices": count, **decay} for count, weights in matrices.items() if weights
    ]
    groups.append({"params": [p for p in rest if p.dim() > 1], "matrices": 0, **decay})
    groups.append({"params": [p for p in rest if p.dim() <= 1], "matrices": 0, **none})
    return Muon(groups, world, lr=config.learning_rate, betas=(0.9, config.adam_beta2))

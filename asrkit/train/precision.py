"""Products in half precision, and the scale that keeps float16 gradients in range."""

from typing import ContextManager

import torch

from asrkit.config import TrainConfig
from asrkit.errors import UserError
from asrkit.train.checkpoint import Position

SMALLEST_SCALE = 2.0**-16  # gradients that overflow at this one are a fault, not a matter of range
STEPS_TO_GROW = 2000  # without overflow


def autocast(config: TrainConfig, device: torch.device) -> ContextManager[None]:
    """Have products computed in train.precision; weights and sums stay float32."""
    half = torch.float16 if config.precision == "float16" else torch.bfloat16
    context: ContextManager[None] = torch.autocast(device.type, half, enabled=config.precision != "float32")
    return context


def check_precision(config: TrainConfig, device: torch.device) -> None:
    """Raise UserError for float16 without a GPU: processors compute it slowly, and torch 1.13 not at all."""
    if config.precision == "float16" and device.type != "cuda":
        raise UserError(
            f"train.precision is float16, and training runs on the {device.type}",
            expected="a GPU for float16",
            where="train.precision",
            todo="--set train.precision=float32, or bfloat16 where the processor has it",
        )


def loss_scale(config: TrainConfig, position: Position) -> float:
    """What the loss is multiplied by, and its gradient divided by: a power of two, so no bit is lost.

    float16 ends at 65504 above and 6e-8 below. The scale halves when a gradient overflows, and doubles
    after many steps without (Micikevicius et al. 2018, "Mixed precision training").
    """
    return position.loss_scale if config.precision == "float16" else 1.0


def halve_scale(config: TrainConfig, position: Position) -> bool:
    """After a gradient that isn't finite though the loss is: whether a smaller scale may mend it."""
    if config.precision != "float16" or position.loss_scale <= SMALLEST_SCALE:
        return False
    position.loss_scale /= 2
    position.steps_at_scale = 0
    return True


def note_step(config: TrainConfig, position: Position) -> None:
    """Count a step whose gradient was finite."""
    if config.precision != "float16":
        return
    position.steps_at_scale += 1
    if position.steps_at_scale == STEPS_TO_GROW:
        position.loss_scale *= 2
        position.steps_at_scale = 0

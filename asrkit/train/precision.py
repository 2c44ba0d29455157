"""Half precision, and the loss scale that keeps float16 gradients in range."""

import torch

from asrkit.config import TrainConfig
from asrkit.errors import UserError
from asrkit.model.device import BFLOAT16_GPU
from asrkit.train.checkpoint import TrainState

SMALLEST_SCALE = 2.0**-16  # gradients that overflow even at this scale have another cause
STEPS_TO_GROW = 2000  # without overflow


def check_precision(config: TrainConfig, device: torch.device) -> None:
    """Raise UserError for a precision that the device doesn't support.

    Refused are float16 on a CPU (slow, and missing from torch 1.13), and bfloat16 on a GPU without it.
    """
    if config.precision == "float16" and device.type != "cuda":
        raise UserError(
            f"train.precision is float16, and training runs on the {device.type}",
            expected="a GPU for float16",
            where="train.precision",
            todo="--set train.precision=float32, or bfloat16 if the processor has it",
        )
    if config.precision == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        name = torch.cuda.get_device_name(device)
        raise UserError(
            f"train.precision is bfloat16, and torch {torch.__version__} can't compute it on {name}",
            expected=BFLOAT16_GPU,
            where="train.precision",
            todo="--set train.precision=float16, or float32",
        )


def loss_scale(config: TrainConfig, state: TrainState) -> float:
    """Factor of the loss, divided out of its gradient: a power of two, so no bit is lost.

    float16 ranges from 6e-8 to 65504. The scale is halved when a gradient overflows, and doubled after
    many steps without overflow (Micikevicius et al. 2018, "Mixed precision training").
    """
    return state.loss_scale if config.precision == "float16" else 1.0


def halve_scale(config: TrainConfig, state: TrainState) -> bool:
    """After a gradient overflow with a finite loss: halve the scale; False if that can't help."""
    if config.precision != "float16" or state.loss_scale <= SMALLEST_SCALE:
        return False
    state.loss_scale /= 2
    state.steps_at_scale = 0
    return True


def count_finite_step(config: TrainConfig, state: TrainState) -> None:
    """Count a step with a finite gradient; double the scale after STEPS_TO_GROW of them."""
    if config.precision == "float16":
        state.steps_at_scale += 1
        if state.steps_at_scale == STEPS_TO_GROW:
            state.loss_scale *= 2
            state.steps_at_scale = 0

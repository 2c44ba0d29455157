"""Tensors on their way to a GPU."""

import torch
from torch import Tensor

from asrkit.errors import UserError


def device_of(setting: str, process: int = 0) -> torch.device:
    """The device that decode.device names, "auto", "cpu" or "cuda"; of several GPUs the `process`-th.

    A process that calls it can't use a GPU in its forks. Raises UserError for cuda without a GPU.
    """
    if setting == "cpu" or (setting == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError(
            f"decode.device is {setting}, and torch {torch.__version__} finds no GPU",
            expected="auto, cpu, or cuda with a GPU",
            where="decode.device",
            todo="--set decode.device=auto; asrkit doctor says why there is none",
        )
    return torch.device("cuda", process % torch.cuda.device_count())


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on `device`, without waiting for a GPU: from pinned memory, behind the work queued there."""
    if tensor.device == device:
        return tensor
    if device.type == "cuda" and not tensor.is_cuda and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type == "cuda")

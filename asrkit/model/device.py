"""The device of the acoustic model, half precision there, and tensors on their way to a GPU."""

import subprocess
import sys
from typing import ContextManager

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
        raise _no_gpu()
    torch.backends.cudnn.allow_tf32 = False  # torch's default, whose log-probabilities differ by 1e-3
    return torch.device("cuda", process % torch.cuda.device_count())


def require_gpu() -> None:
    """Raise UserError without a GPU. Another process looks, so that forks of this one can use it."""
    looks = [sys.executable, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"]
    if subprocess.run(looks, stderr=subprocess.DEVNULL, check=False).returncode:
        raise _no_gpu()


def _no_gpu() -> UserError:
    return UserError(
        f"decode.device is cuda, and torch {torch.__version__} finds no GPU",
        expected="cuda with a GPU, else auto or cpu",
        where="decode.device, which --device sets",
        todo="--device cpu; asrkit doctor says why there is no GPU",
    )


def autocast(precision: str, device: torch.device) -> ContextManager[None]:
    """Matrix products and convolutions in float32, bfloat16 or float16; weights and sums stay float32."""
    half = torch.float16 if precision == "float16" else torch.bfloat16
    context: ContextManager[None] = torch.autocast(device.type, half, enabled=precision != "float32")
    return context


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on `device`, without waiting for a GPU: from pinned memory, behind the work queued there."""
    if tensor.device == device:
        return tensor
    if device.type == "cuda" and not tensor.is_cuda and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type == "cuda")

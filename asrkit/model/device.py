"""The device of the acoustic model, half precision there, and tensors on their way to a GPU."""

import contextlib
import subprocess
import sys
from typing import ContextManager, NamedTuple, Optional

import torch
from torch import Tensor

from asrkit.errors import UserError

BFLOAT16_GPU = "a GPU that supports bfloat16: compute capability 8.0 or more"
_LOOK = (
    "import torch\n"
    "if torch.cuda.is_available():\n"
    "    print(torch.cuda.is_bf16_supported(), torch.cuda.get_device_name())"
)


class Gpu(NamedTuple):
    """The first GPU of this machine."""

    name: str
    has_bfloat16: bool


def device_of(setting: str, process: int = 0) -> torch.device:
    """The device that decode.device names, "auto", "cpu" or "cuda"; of several GPUs the `process`-th.

    A process that calls it can't use a GPU in its forks. Raises UserError for cuda without a GPU.
    """
    if setting == "cpu" or (setting == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise _no_gpu()
    return in_float32(torch.device("cuda", process % torch.cuda.device_count()))


def in_float32(device: torch.device) -> torch.device:
    """Return the device, after turning off TF32, so that log-probabilities agree with a CPU's to 1e-4."""
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # torch's default is True; they would differ by 1e-3
    return device


def find_gpu() -> Optional[Gpu]:
    """Find the GPU, if any, from another process: had CUDA started in this one, its forks couldn't use it."""
    looked = subprocess.run([sys.executable, "-c", _LOOK], capture_output=True, text=True, check=False)
    has_bfloat16, _, name = looked.stdout.strip().partition(" ")
    return Gpu(name, has_bfloat16 == "True") if name and not looked.returncode else None


def check_device(setting: str, precision: str, gpu: Optional[Gpu]) -> None:
    """Raise UserError for decode.device cuda without a GPU, or a decode.precision that it doesn't support."""
    if setting == "cuda" and gpu is None:
        raise _no_gpu()
    if setting != "cpu" and precision == "bfloat16" and gpu is not None and not gpu.has_bfloat16:
        raise UserError(
            f"decode.precision is bfloat16, and torch {torch.__version__} can't compute it on {gpu.name}",
            expected=BFLOAT16_GPU,
            where="decode.precision",
            todo="--set decode.precision=float32; or float16 with --device cuda",
        )


def _no_gpu() -> UserError:
    return UserError(
        f"decode.device is cuda, and torch {torch.__version__} finds no GPU",
        expected="cuda with a GPU, else auto or cpu",
        where="decode.device, which --device sets",
        todo="--device cpu; asrkit doctor says why there is no GPU",
    )


def autocast(precision: str, device: torch.device) -> ContextManager[None]:
    """Matrix products and convolutions in float32, bfloat16 or float16; weights and sums stay float32."""
    if precision == "float32":  # torch 1.13's autocast raises on GPUs without bfloat16 even if it is disabled
        return contextlib.nullcontext()
    half = torch.float16 if precision == "float16" else torch.bfloat16
    context: ContextManager[None] = torch.autocast(device.type, half)
    return context


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on `device`, without waiting for a GPU: from pinned memory, behind the work queued there."""
    if tensor.device == device:
        return tensor
    if device.type == "cuda" and not tensor.is_cuda and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type == "cuda")

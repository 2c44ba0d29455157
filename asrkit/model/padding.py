"""Padding of a batch, kept at zero through the convolutions."""

import functools
from typing import Any, List

import torch
from torch import Tensor


def is_exporting() -> bool:
    """Whether the model is traced for export: then numbers of tensors and custom gradients can't be used."""
    return torch.jit.is_tracing()


class Padding:
    """Where utterances of a batch end: `lengths` (batch,) in frames, `longest` the frames there are."""

    def __init__(self, lengths: Tensor, longest: int) -> None:
        self.lengths, self.longest = lengths, longest

    @functools.cached_property
    def frames(self) -> int:
        """Frames of all utterances, without padding."""
        return int(self.lengths.sum())

    @functools.cached_property
    def _ends(self) -> List[int]:
        return self.lengths.tolist()

    def strided(self, stride: int) -> "Padding":
        """After a convolution of kernel 3, padding 1 and this stride in time."""
        if stride == 1:
            return self
        lengths = torch.div(self.lengths - 1, stride, rounding_mode="floor") + 1
        return Padding(lengths, (self.longest - 1) // stride + 1)

    def inside(self) -> Tensor:
        """True within an utterance, false in its padding: (batch, time)."""
        times = torch.arange(self.longest, device=self.lengths.device)
        return times[None, :] < self.lengths[:, None]

    def erase(self, x: Tensor) -> Tensor:
        """Set padding of (batch, channel, time, frequency) to zero, in place, outside of autograd."""
        if is_exporting():
            return x * self.inside()[:, None, :, None]
        values = x.detach()
        if values.is_cuda:
            values.mul_(self.inside()[:, None, :, None])
        else:  # touches the padding alone, where a product with a mask passes over everything
            for row, end in enumerate(self._ends):
                if end < self.longest:
                    values[row, :, end:].zero_()
        return x


class _Rectify(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: Padding) -> Tensor:  # type: ignore[override]
        ctx.mark_dirty(x)
        padding.erase(x.detach().clamp_(min=0))
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        (output,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(grad, output, 0), None  # zero in padding too


def rectify(x: Tensor, padding: Padding) -> Tensor:
    """ReLU in place, with padding (and its gradient) set to zero."""
    if is_exporting():
        return padding.erase(torch.relu(x))
    rectified: Tensor = _Rectify.apply(x, padding)
    return rectified

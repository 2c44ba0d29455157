"""Padding of a batch, kept at zero throughout the convolutions."""

from typing import Any, List

import torch
from torch import Tensor


class Padding:
    """Lengths (batch,) of the utterances in a batch of `longest` frames."""

    def __init__(self, lengths: Tensor, longest: int) -> None:
        self.lengths, self.longest = lengths, longest
        self.frames = int(lengths.sum())
        self._ends: List[int] = lengths.tolist()

    def strided(self, stride: int) -> "Padding":
        """After a convolution with "same" padding and this stride over time."""
        if stride == 1:
            return self
        lengths = torch.div(self.lengths - 1, stride, rounding_mode="floor") + 1
        return Padding(lengths, (self.longest - 1) // stride + 1)

    def inside(self) -> Tensor:
        """Mask (batch, time): false in padding."""
        times = torch.arange(self.longest, device=self.lengths.device)
        return times[None, :] < self.lengths[:, None]

    def erase(self, x: Tensor) -> Tensor:
        """Zero the padding of (batch, channel, time, frequency) in place, outside autograd."""
        values = x.detach()
        if values.is_cuda:
            values.mul_(self.inside()[:, None, :, None])
        else:  # writes the padding only, while a product with a mask passes over the whole tensor
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
    """In-place ReLU that zeroes padding and its gradient."""
    rectified: Tensor = _Rectify.apply(x, padding)
    return rectified

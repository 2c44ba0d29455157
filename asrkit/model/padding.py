"""Padding of a batch: kept at zero through the convolutions, and left out of batch normalisation."""

from typing import Any, List, Optional, Tuple

import torch
from torch import Tensor, nn

from asrkit.model.device import move

CPU = torch.device("cpu")


def is_exporting() -> bool:
    """Whether the model is traced for export: then numbers of tensors and custom gradients can't be used."""
    return torch.jit.is_tracing()


class Padding:
    """Lengths (batch,) of the utterances in a batch of `longest` frames, for tensors on `device`.

    The lengths stay on the CPU, since to read them from a GPU is to wait for all that it has to do.
    `starts` (batch,), multiples of all strides: frames before are padding too, in streaming.
    """

    def __init__(
        self, lengths: Tensor, longest: int, device: torch.device = CPU, starts: Optional[Tensor] = None
    ) -> None:
        self.lengths, self.longest, self.starts = lengths, longest, starts
        self.on_device = move(lengths, device)
        if not is_exporting():
            self._ends: List[int] = lengths.tolist()
            self._starts: List[int] = [0] * len(lengths) if starts is None else starts.tolist()
            self.frames = sum(self._ends)

    def strided(self, stride: int) -> "Padding":
        """After a convolution with "same" padding and this stride over time."""
        if stride == 1:
            return self
        lengths = torch.div(self.lengths - 1, stride, rounding_mode="floor") + 1
        starts = None if self.starts is None else torch.div(self.starts, stride, rounding_mode="floor")
        return Padding(lengths, (self.longest - 1) // stride + 1, self.on_device.device, starts)

    def inside(self) -> Tensor:
        """Mask (batch, time): false in padding."""
        times = torch.arange(self.longest, device=self.on_device.device)
        inside = times[None, :] < self.on_device[:, None]
        if self.starts is None:
            return inside
        return inside & (times[None, :] >= move(self.starts, self.on_device.device)[:, None])

    def erase(self, x: Tensor) -> Tensor:
        """Zero the padding of (batch, channel, time, frequency) in place, outside autograd."""
        if is_exporting():
            return x * self.inside()[:, None, :, None]
        values = x.detach()
        if values.is_cuda:
            values.mul_(self.inside()[:, None, :, None])
        else:  # writes the padding only, while a product with a mask passes over the whole tensor
            for row, (start, end) in enumerate(zip(self._starts, self._ends)):
                if start:
                    values[row, :, :start].zero_()
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
    if is_exporting():
        return padding.erase(torch.relu(x))
    rectified: Tensor = _Rectify.apply(x, padding)
    return rectified


def _rows(x: Tensor) -> Tensor:
    """(batch, channel, time, frequency) as (batch * time * frequency, channel); a view in channels-last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


class _Normalise(torch.autograd.Function):
    """Normalisation with batch statistics, fused by hand: it is memory-bound on a CPU, and each formula here
    is one pass over memory. Gradients as in Ioffe and Szegedy 2015, over frames outside padding."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, padding: Padding
    ) -> Tuple[Tensor, Tensor, Tensor]:
        rows = _rows(padding.erase(x))
        count = padding.frames * x.shape[3]
        mean = rows.sum(dim=0) / count  # (channel,)
        variance = ((rows * rows).sum(dim=0) / count - mean * mean).clamp(min=0)
        inverse = torch.rsqrt(variance + eps)
        scale = weight * inverse
        ctx.save_for_backward(x, mean, inverse, weight)
        ctx.padding, ctx.count = padding, count
        ctx.mark_non_differentiable(mean, variance)
        shape = (1, -1, 1, 1)
        return torch.addcmul((bias - mean * scale).view(shape), x, scale.view(shape)), mean, variance

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> Any:  # type: ignore[override]
        x, mean, inverse, weight = ctx.saved_tensors
        total = _rows(grad).sum(dim=0)  # (channel,)
        along = (_rows(grad) * _rows(x)).sum(dim=0) - mean * total  # sum of gradient times centred input
        scale = weight * inverse
        slope = -scale * inverse * inverse * along / ctx.count
        offset = -scale * total / ctx.count - slope * mean
        shape = (1, -1, 1, 1)
        of_x = torch.addcmul(offset.view(shape), x, slope.view(shape)).addcmul_(grad, scale.view(shape))
        return ctx.padding.erase(of_x), along * inverse, total, None, None


class MaskedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation (Ioffe and Szegedy 2015) of (batch, channel, time, frequency).

    Padding is left out of the statistics. The output must go through `rectify` (directly or after a sum),
    which zeroes padding and its gradient: the backward pass here relies on these zeros.
    """

    def forward(self, x: Tensor, padding: Padding) -> Tensor:  # type: ignore[override]
        """Normalise with batch statistics in training, else with running ones. Returns float32."""
        x = x.float()  # sums in half precision are too inaccurate
        if self.training:
            y, mean, variance = _Normalise.apply(x, self.weight, self.bias, self.eps, padding)
            with torch.no_grad():
                count = padding.frames * x.shape[3]
                self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr, arg-type]
                unbiased = variance * (count / max(1, count - 1))
                self.running_var.lerp_(unbiased, self.momentum)  # type: ignore[union-attr, arg-type]
                self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
            normalised: Tensor = y
            return normalised
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)  # type: ignore[operator]
        shift = self.bias - self.running_mean * scale  # type: ignore[operator]
        return torch.addcmul(shift.view(1, -1, 1, 1), x, scale.view(1, -1, 1, 1))

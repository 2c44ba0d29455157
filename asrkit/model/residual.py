"""Residual 2-D convolutions over (time, frequency), after ResNet (He et al. 2016).

Parameters are named and shaped as in torchvision's ResNet. Padding is kept at zero throughout and left out
of the statistics, so that what an utterance is batched with changes nothing.
"""

from typing import Any, Dict, Iterator, Sequence, Tuple, Type

import torch
from torch import Tensor, nn

from asrkit.config import ModelConfig
from asrkit.model.normalisation import MaskedBatchNorm
from asrkit.model.padding import Padding, is_exporting, rectify

DEPTHS: Dict[str, Tuple[str, Tuple[int, ...]]] = {  # kind of block, blocks a stage (He et al. 2016, table 1)
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
}


class SqueezeExcitation(nn.Module):
    """Scale each channel by what the whole utterance holds (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, max(1, channels // reduction), 1)
        self.fc2 = nn.Conv2d(max(1, channels // reduction), channels, 1)

    def forward(self, x: Tensor, padding: Padding) -> Tensor:
        """(batch, channel, time, frequency) to the same; the mean leaves padding out."""
        inside = padding.inside()[:, None, :, None]
        count = (padding.lengths * x.shape[3]).to(x.device).view(-1, 1, 1, 1)
        mean = (x * inside).sum(dim=(2, 3), keepdim=True) / count  # (batch, channel, 1, 1)
        scaled: Tensor = x * torch.sigmoid(self.fc2(torch.relu(self.fc1(mean))))
        return scaled


def _subsample(x: Tensor, stride: Tuple[int, int]) -> Tensor:
    """Every stride-th frame and bin of (batch, channel, time, frequency)."""
    if is_exporting():
        return x[:, :, :: stride[0], :: stride[1]]
    subsampled: Tensor = _Subsample.apply(x, stride)
    return subsampled


class _Subsample(torch.autograd.Function):
    """Every so many-th frame and bin; the gradient is laid channels-last too, and in one pass, where
    torch's own takes one for each of the four dimensions."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: Tuple[int, int]) -> Tensor:  # type: ignore[override]
        ctx.shape, ctx.stride = x.shape, stride
        return x[:, :, :: stride[0], :: stride[1]].contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        whole = torch.empty(
            ctx.shape, dtype=grad.dtype, device=grad.device, memory_format=torch.channels_last
        ).zero_()
        whole[:, :, :: ctx.stride[0], :: ctx.stride[1]] = grad
        return whole, None


class ResidualBlock(nn.Module):
    """A branch of convolutions beside a shortcut; what the two kinds of block share."""

    expansion = 1  # channels out of the block over `channels`

    def __init__(
        self, config: ModelConfig, channels_in: int, channels: int, stride: Tuple[int, int], skipped: float
    ) -> None:
        super().__init__()
        self.stride, self.skipped, self.residual = stride, skipped, config.residual
        self.channels_out = channels * self.expansion
        reduction = config.squeeze_reduction
        self.squeeze = SqueezeExcitation(self.channels_out, reduction) if reduction else None
        self.downsample = nn.ModuleList()
        if self.residual and (stride != (1, 1) or channels_in != self.channels_out):
            shortcut = nn.Conv2d(channels_in, self.channels_out, 1, bias=False)
            self.downsample.extend([shortcut, MaskedBatchNorm(self.channels_out)])

    def branch(self, x: Tensor, before: Padding, padding: Padding) -> Tensor:
        """The convolutions, up to the last normalisation; `before` is the padding of the input."""
        raise NotImplementedError

    def forward(self, x: Tensor, before: Padding) -> Tuple[Tensor, Padding]:
        """(batch, channel, time, frequency) and its padding to the same, strided."""
        padding = before.strided(self.stride[0])
        y = self.branch(x, before, padding)
        if self.squeeze is not None:
            y = self.squeeze(y, padding)
        if self.training and self.skipped:  # stochastic depth (Huang et al. 2016), by utterance
            kept = (torch.rand(len(y), device=y.device) >= self.skipped).to(y.dtype) / (1.0 - self.skipped)
            y = y * kept.view(-1, 1, 1, 1)
        if not self.residual:
            return rectify(y, padding), padding
        if self.downsample:
            # Stride by slicing: the oneDNN in torch 1.13.1 writes out of bounds in a strided 1x1
            # convolution of fewer than 8 channels (tests/known_issues/test_strided_shortcut.py).
            x = x if self.stride == (1, 1) else _subsample(x, self.stride)
            x = self.downsample[1](self.downsample[0](x), padding)
        return rectify(x + y, padding), padding


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions."""

    def __init__(
        self, config: ModelConfig, channels_in: int, channels: int, stride: Tuple[int, int], skipped: float
    ) -> None:
        super().__init__(config, channels_in, channels, stride, skipped)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = MaskedBatchNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = MaskedBatchNorm(channels)

    def branch(self, x: Tensor, before: Padding, padding: Padding) -> Tensor:
        """3x3 (strided), 3x3."""
        y = rectify(self.bn1(self.conv1(x), padding), padding)
        normalised: Tensor = self.bn2(self.conv2(y), padding)
        return normalised


class Bottleneck(ResidualBlock):
    """A 3x3 convolution between two of 1x1, the last to four times the channels."""

    expansion = 4

    def __init__(
        self, config: ModelConfig, channels_in: int, channels: int, stride: Tuple[int, int], skipped: float
    ) -> None:
        super().__init__(config, channels_in, channels, stride, skipped)
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = MaskedBatchNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = MaskedBatchNorm(channels)
        self.conv3 = nn.Conv2d(channels, self.channels_out, 1, bias=False)
        self.bn3 = MaskedBatchNorm(self.channels_out)

    def branch(self, x: Tensor, before: Padding, padding: Padding) -> Tensor:
        """1x1, 3x3 (strided), 1x1."""
        y = rectify(self.bn1(self.conv1(x), before), before)
        y = rectify(self.bn2(self.conv2(y), padding), padding)
        normalised: Tensor = self.bn3(self.conv3(y), padding)
        return normalised


class ResidualFront(nn.Module):
    """Stem and residual stages; turns features into vectors at a lower rate."""

    def __init__(self, config: ModelConfig, bins: int) -> None:
        super().__init__()
        name, blocks = DEPTHS[config.depth] if config.depth else (config.block, config.stage_blocks)
        block: Type[ResidualBlock] = Bottleneck if name == "bottleneck" else BasicBlock
        self.stem_stride = (config.stem_stride[0], config.stem_stride[1])
        kernel, channels = config.stem_kernel, config.stem_channels
        self.conv1 = nn.Conv2d(1, channels, kernel, stride=self.stem_stride, padding=kernel // 2, bias=False)
        self.bn1 = MaskedBatchNorm(channels)
        frequencies = (bins - 1) // self.stem_stride[1] + 1
        self.stages: Sequence[str] = [f"layer{index + 1}" for index in range(len(blocks))]
        skipped = _rising(config.stochastic_depth, sum(blocks))
        for index, stage in enumerate(self.stages):
            stride = (config.stage_time_strides[index], config.stage_frequency_strides[index])
            made = nn.ModuleList()
            for position in range(blocks[index]):
                width, by = config.stage_channels[index], stride if position == 0 else (1, 1)
                made.append(block(config, channels, width, by, next(skipped)))
                channels = width * block.expansion
            self.add_module(stage, made)
            frequencies = (frequencies - 1) // stride[1] + 1
        self.output_dim = channels * frequencies
        self.to(memory_format=torch.channels_last)  # several times faster on CPUs than the usual layout

    def forward(self, features: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        """(batch, time, bin), (batch,) to (batch, frame, output_dim), (batch,)."""
        padding = Padding(lengths, features.shape[1])
        x = padding.erase(features[:, None].clone())  # (batch, 1, time, bin)
        padding = padding.strided(self.stem_stride[0])
        x = self.conv1(x.contiguous(memory_format=torch.channels_last))
        x = rectify(self.bn1(x, padding), padding)
        for stage in self.stages:
            for block in getattr(self, stage):
                x, padding = block(x, padding)
        return x.permute(0, 2, 3, 1).flatten(2), padding.lengths  # (batch, frame, frequency * channel)


def _rising(highest: float, count: int) -> Iterator[float]:
    """`count` chances that rise evenly to `highest`."""
    return (highest * (index + 1) / count for index in range(count))

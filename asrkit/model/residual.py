"""Residual 2-D convolutions over (time, frequency), after ResNet (He et al. 2016).

Padding is kept at zero throughout and left out of the normalisation's statistics, so that what an
utterance is batched with changes nothing.
"""

from typing import Sequence, Tuple

import torch
from torch import Tensor, nn

from asrkit.config import ModelConfig


def subsampled(lengths: Tensor, stride: int) -> Tensor:
    """Lengths after a convolution of kernel 3, padding 1 and this stride."""
    return torch.div(lengths - 1, stride, rounding_mode="floor") + 1


def padding_mask(lengths: Tensor, longest: int) -> Tensor:
    """1 within an utterance, 0 in its padding: (batch, 1, time, 1), to multiply with."""
    inside = torch.arange(longest, device=lengths.device)[None, :] < lengths[:, None]
    return inside[:, None, :, None].to(torch.float32)


class MaskedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose statistics leave padding out (Ioffe and Szegedy 2015)."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """Normalise (batch, channel, time, frequency); `mask` is (batch, 1, time, 1)."""
        if self.training:
            count = mask.sum() * x.shape[3]
            mean = (x * mask).sum(dim=(0, 2, 3)) / count  # (channel,)
            centred = (x - mean[None, :, None, None]) * mask
            variance = (centred * centred).sum(dim=(0, 2, 3)) / count
            with torch.no_grad():
                momentum = self.momentum or 0.1
                self.running_mean.lerp_(mean.detach(), momentum)
                self.running_var.lerp_(variance.detach() * count / (count - 1).clamp(min=1), momentum)
                self.num_batches_tracked += 1
            scale = self.weight * torch.rsqrt(variance + self.eps)
            return centred * scale[None, :, None, None] + self.bias[None, :, None, None]
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        shift = self.bias - self.running_mean * scale
        return x * scale[None, :, None, None] + shift[None, :, None, None]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; parameters are named as in torchvision's ResNet."""

    def __init__(self, channels_in: int, channels: int, stride: Tuple[int, int]) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = MaskedBatchNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = MaskedBatchNorm(channels)
        self.downsample: nn.ModuleList = nn.ModuleList()
        if stride != (1, 1) or channels_in != channels:
            shortcut = nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False)
            self.downsample.extend([shortcut, MaskedBatchNorm(channels)])

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(batch, channel, time, frequency) to the same, strided; `mask` is that of the output."""
        y = torch.relu(self.bn1(self.conv1(x), mask)) * mask
        y = self.bn2(self.conv2(y), mask)
        for index in range(0, len(self.downsample), 2):
            x = self.downsample[index + 1](self.downsample[index](x), mask)
        return torch.relu(x + y) * mask


class ResidualFront(nn.Module):
    """Stem and residual stages; turns features into vectors at a lower rate."""

    def __init__(self, config: ModelConfig, bins: int) -> None:
        super().__init__()
        self.stem_stride = (config.stem_stride[0], config.stem_stride[1])
        self.conv1 = nn.Conv2d(1, config.stem_channels, 3, stride=self.stem_stride, padding=1, bias=False)
        self.bn1 = MaskedBatchNorm(config.stem_channels)
        frequencies = (bins - 1) // self.stem_stride[1] + 1
        channels = config.stem_channels
        self.stages: Sequence[str] = [f"layer{index + 1}" for index in range(len(config.stage_blocks))]
        for index, name in enumerate(self.stages):
            stride = (config.stage_time_strides[index], config.stage_frequency_strides[index])
            blocks = [BasicBlock(channels, config.stage_channels[index], stride)]
            channels = config.stage_channels[index]
            blocks += [BasicBlock(channels, channels, (1, 1)) for _ in range(config.stage_blocks[index] - 1)]
            self.add_module(name, nn.ModuleList(blocks))
            frequencies = (frequencies - 1) // stride[1] + 1
        self.output_dim = channels * frequencies
        self.to(memory_format=torch.channels_last)  # several times faster on CPUs than the usual layout

    def forward(self, features: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        """(batch, time, bin), (batch,) to (batch, frame, output_dim), (batch,)."""
        x = features[:, None] * padding_mask(lengths, features.shape[1])
        x = x.contiguous(memory_format=torch.channels_last)  # (batch, 1, time, bin)
        lengths = subsampled(lengths, self.stem_stride[0])
        x = self.conv1(x)
        mask = padding_mask(lengths, x.shape[2])
        x = torch.relu(self.bn1(x, mask)) * mask
        for name in self.stages:
            for block in getattr(self, name):
                if block.stride[0] != 1:
                    lengths = subsampled(lengths, block.stride[0])
                    mask = padding_mask(lengths, int(subsampled(torch.tensor(x.shape[2]), block.stride[0])))
                x = block(x, mask)
        return x.permute(0, 2, 3, 1).flatten(2), lengths  # (batch, frame, frequency * channel)

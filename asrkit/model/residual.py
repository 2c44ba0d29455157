"""Residual 2-D convolutions over (time, frequency), after ResNet (He et al. 2016).

Padding is kept at zero throughout and left out of the normalisation's statistics, so that what an
utterance is batched with changes nothing.
"""

from typing import Sequence, Tuple

import torch
from torch import Tensor, nn

from asrkit.config import ModelConfig
from asrkit.model.normalisation import MaskedBatchNorm
from asrkit.model.padding import Padding, rectify


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; parameters are named as in torchvision's ResNet."""

    def __init__(self, channels_in: int, channels: int, stride: Tuple[int, int]) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = MaskedBatchNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = MaskedBatchNorm(channels)
        self.downsample = nn.ModuleList()
        if stride != (1, 1) or channels_in != channels:
            shortcut = nn.Conv2d(channels_in, channels, 1, bias=False)
            self.downsample.extend([shortcut, MaskedBatchNorm(channels)])

    def forward(self, x: Tensor, padding: Padding) -> Tensor:
        """(batch, channel, time, frequency) to the same, strided; `padding` is that of the output."""
        y = rectify(self.bn1(self.conv1(x), padding), padding)
        y = self.bn2(self.conv2(y), padding)
        if self.downsample:
            # Stride by slicing: the oneDNN in torch 1.13.1 writes out of bounds in a strided 1x1
            # convolution of fewer than 8 channels (tests/known_issues/test_strided_shortcut.py).
            x = x[:, :, :: self.stride[0], :: self.stride[1]].contiguous(memory_format=torch.channels_last)
            x = self.downsample[1](self.downsample[0](x), padding)
        return rectify(x + y, padding)


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
        padding = Padding(lengths, features.shape[1])
        x = padding.erase(features[:, None].clone())  # (batch, 1, time, bin)
        padding = padding.strided(self.stem_stride[0])
        x = self.conv1(x.contiguous(memory_format=torch.channels_last))
        x = rectify(self.bn1(x, padding), padding)
        for name in self.stages:
            for block in getattr(self, name):
                padding = padding.strided(block.stride[0])
                x = block(x, padding)
        return x.permute(0, 2, 3, 1).flatten(2), padding.lengths  # (batch, frame, frequency * channel)

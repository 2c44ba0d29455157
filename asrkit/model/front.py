"""Front ends, chosen by model.front: features to vectors at a lower frame rate.

Today these are ResNets (He et al. 2016) over (time, frequency), with parameters named and shaped as in
torchvision. Padding is kept at zero and left out of statistics, so that results don't depend on the batch.
A new front end is a subclass of FrontEnd, an entry in FRONT_ENDS, both here, and its settings in ModelConfig.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, Type

import torch
from torch import Tensor, nn

from asrkit.config import ModelConfig
from asrkit.model.description import Stage
from asrkit.model.padding import MaskedBatchNorm, Padding, is_exporting, rectify


class FrontEnd(nn.Module):
    """Base of the front ends: features (batch, time, bin) of lengths (batch,) to vectors
    (batch, frame, output_dim) and their lengths; lengths on the CPU. In streaming, with the first frames
    (batch,) of utterances that begin later."""

    output_dim: int

    @staticmethod
    def time_strides(config: ModelConfig) -> Sequence[int]:
        """Strides over time, first to last; their product is the subsampling factor."""
        raise NotImplementedError

    def stages(self) -> List[Stage]:
        """The stages, for asrkit describe; the first module reads the features."""
        raise NotImplementedError


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate computed from its mean over the utterance (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, max(1, channels // reduction), 1)
        self.fc2 = nn.Conv2d(max(1, channels // reduction), channels, 1)

    def forward(self, x: Tensor, padding: Padding) -> Tensor:
        """(batch, channel, time, frequency) to the same shape; padding is left out of the mean."""
        inside = padding.inside()[:, None, :, None]
        count = (padding.on_device * x.shape[3]).view(-1, 1, 1, 1)
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
    """x[:, :, ::stride, ::stride], with a channels-last gradient written in one pass; torch's own takes one
    pass per dimension."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: Tuple[int, int]) -> Tensor:  # type: ignore[override]
        ctx.shape, ctx.stride = x.shape, stride
        return x[:, :, :: stride[0], :: stride[1]].contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        layout = {"device": grad.device, "dtype": grad.dtype, "memory_format": torch.channels_last}
        whole = torch.empty(ctx.shape, **layout).zero_()
        whole[:, :, :: ctx.stride[0], :: ctx.stride[1]] = grad
        return whole, None


class ResidualBlock(nn.Module):
    """A branch of convolutions with a residual connection; the first 3x3 convolution has the stride."""

    kernels: Tuple[int, ...] = (3, 3)  # of conv1, conv2, ...
    expansion = 1  # output channels / `channels`

    def __init__(
        self,
        config: ModelConfig,
        channels_in: int,
        channels: int,
        stride: Tuple[int, int],
        drop_rate: float,
        inner: int,
    ) -> None:
        super().__init__()
        self.stride, self.drop_rate, self.residual = stride, drop_rate, config.residual
        channels_out = channels * self.expansion
        reduction = config.squeeze_reduction
        self.squeeze = SqueezeExcitation(channels_out, reduction) if reduction else None
        self.downsample = nn.ModuleList()
        if self.residual and (stride != (1, 1) or channels_in != channels_out):
            shortcut = nn.Conv2d(channels_in, channels_out, 1, bias=False)
            self.downsample.extend([shortcut, MaskedBatchNorm(channels_out)])
        widths = [channels_in, *[inner] * (len(self.kernels) - 1), channels_out]
        strides = [(1, 1)] * len(self.kernels)
        strides[self.kernels.index(3)] = stride
        self.time_kernels = [(kernel, by[0]) for kernel, by in zip(self.kernels, strides)]
        for index, (kernel, by) in enumerate(zip(self.kernels, strides)):
            read, written = widths[index : index + 2]
            conv = nn.Conv2d(read, written, kernel, stride=by, padding=kernel // 2, bias=False)
            self.add_module(f"conv{index + 1}", conv)
            self.add_module(f"bn{index + 1}", MaskedBatchNorm(written))

    def branch(self, x: Tensor, before: Padding, padding: Padding) -> Tensor:
        """The convolutions up to the last normalisation; `before` is the padding of the input."""
        for number, (kernel, _) in enumerate(self.time_kernels, 1):
            before = padding if kernel == 3 else before  # the first 3x3 convolution has the stride
            x = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x), before)
            x = rectify(x, before) if number < len(self.time_kernels) else x
        return x

    def forward(self, x: Tensor, before: Padding) -> Tuple[Tensor, Padding]:
        """(batch, channel, time, frequency) and its padding to the same, strided."""
        padding = before.strided(self.stride[0])
        y = self.branch(x, before, padding)
        if self.squeeze is not None:
            y = self.squeeze(y, padding)
        if self.training and self.drop_rate:  # stochastic depth (Huang et al. 2016), drawn per utterance
            kept = torch.rand(len(y), device=y.device) >= self.drop_rate
            y = y * (kept.to(y.dtype) / (1.0 - self.drop_rate)).view(-1, 1, 1, 1)
        if not self.residual:
            return rectify(y, padding), padding
        if self.downsample:
            # Stride by slicing: the oneDNN in torch 1.13.1 writes out of bounds in a strided 1x1
            # convolution of fewer than 8 channels (tests/known_issues/test_strided_shortcut.py).
            x = x if self.stride == (1, 1) else _subsample(x, self.stride)
            x = self.downsample[1](self.downsample[0](x), padding)
        return rectify(x + y, padding), padding


class Bottleneck(ResidualBlock):
    """A 3x3 convolution between two of 1x1, the last of which has four times the channels."""

    kernels = (1, 3, 1)
    expansion = 4


class ResNet(NamedTuple):
    """A kind of ResNet."""

    block: Type[ResidualBlock]
    stage_blocks: Optional[Tuple[int, ...]]  # He et al. 2016, table 1; None: model.stage_blocks


RESNETS: Dict[str, ResNet] = {
    "resnet": ResNet(ResidualBlock, None),
    "resnet-bottleneck": ResNet(Bottleneck, None),
    "resnet18": ResNet(ResidualBlock, (2, 2, 2, 2)),
    "resnet34": ResNet(ResidualBlock, (3, 4, 6, 3)),
    "resnet50": ResNet(Bottleneck, (3, 4, 6, 3)),
    "resnet101": ResNet(Bottleneck, (3, 4, 23, 3)),
}


class ResidualFront(FrontEnd):
    """Stem and residual stages, as layer1, layer2, ..."""

    def __init__(self, config: ModelConfig, bins: int) -> None:
        super().__init__()
        block, preset = RESNETS[config.front]
        depths = preset or config.stage_blocks
        self.stem_stride = (config.stem_stride[0], config.stem_stride[1])
        kernel, channels = config.stem_kernel, config.stem_channels
        self.conv1 = nn.Conv2d(1, channels, kernel, stride=self.stem_stride, padding=kernel // 2, bias=False)
        self.bn1 = MaskedBatchNorm(channels)
        frequencies = (bins - 1) // self.stem_stride[1] + 1
        blocks = 0
        for index, depth in enumerate(depths):
            stride = (config.stage_time_strides[index], config.stage_frequency_strides[index])
            stage = nn.ModuleList()
            for _ in range(depth):
                blocks += 1
                drop_rate = config.stochastic_depth * blocks / sum(depths)
                width = config.stage_channels[index]
                inner = config.inner_channels[index] if config.inner_channels else width
                stage.append(block(config, channels, width, stride, drop_rate, inner))
                channels, stride = config.stage_channels[index] * block.expansion, (1, 1)
            self.add_module(f"layer{index + 1}", stage)
            frequencies = (frequencies - 1) // config.stage_frequency_strides[index] + 1
        self.layers = [f"layer{index + 1}" for index in range(len(depths))]
        self.output_dim = channels * frequencies
        self.to(memory_format=torch.channels_last)  # several times faster on CPUs than the default layout

    @staticmethod
    def time_strides(config: ModelConfig) -> Sequence[int]:
        """Of the stem and the stages."""
        return (config.stem_stride[0], *config.stage_time_strides)

    def stages(self) -> List[Stage]:
        """The stem and each residual stage."""
        stages = [Stage("stem", [self.conv1, self.bn1], [(self.conv1.kernel_size[0], self.stem_stride[0])])]
        for name in self.layers:
            blocks: Sequence[Any] = list(getattr(self, name))
            stages.append(Stage(name, blocks, [pair for block in blocks for pair in block.time_kernels]))
        return stages

    def forward(
        self, features: Tensor, lengths: Tensor, starts: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tensor]:
        """(batch, time, bin), (batch,) to (batch, frame, output_dim), (batch,)."""
        padding = Padding(lengths, features.shape[1], features.device, starts)
        x = padding.erase(features[:, None].clone())  # (batch, 1, time, bin)
        padding = padding.strided(self.stem_stride[0])
        x = self.conv1(x.contiguous(memory_format=torch.channels_last))
        x = rectify(self.bn1(x, padding), padding)
        for name in self.layers:
            for block in getattr(self, name):
                x, padding = block(x, padding)
        return x.permute(0, 2, 3, 1).flatten(2), padding.lengths  # (batch, frame, frequency * channel)


FRONT_ENDS: Dict[str, Type[FrontEnd]] = dict.fromkeys(RESNETS, ResidualFront)

"""Encoder blocks, chosen by model.encoder.

A new block is a subclass of EncoderBlock with an entry in ENCODERS, both in this file, and its settings in
ModelConfig. Parameters and multiply-adds are counted from its layers, whatever these are.
"""

import math
from typing import Dict, Optional, Tuple, Type

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asrkit.config import ModelConfig
from asrkit.model.attention import SELF_ATTENTION, BlockCache, Dropout


class EncoderBlock(nn.Module):
    """Base of the blocks: forward(x, inside, positions) maps x (batch, frame, dim) to the same shape.

    `inside` (batch, 1, 1, frame) is false in padding; `positions` is what the method of that name returns.
    A block for streaming also takes `visible` (batch, 1, query, key), the frames that each frame may attend
    to, and maybe a BlockCache of earlier frames.
    """

    receptive_frames: float = 1  # input frames that an output frame depends on; math.inf: all

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()

    def positions(self, frames: int, device: torch.device) -> Optional[Tensor]:
        """Positional encoding, computed once per batch for all blocks; None: not used."""
        return None


class ConvolutionModule(nn.Module):
    """Gated depthwise convolution over time (Gulati et al. 2020, Conformer).

    Layer instead of batch normalisation: there are no statistics to keep free of padding.
    """

    def __init__(self, dim: int, kernel: int, causal: bool = False) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, 2 * dim)
        self.earlier = kernel - 1 if causal else 0  # frames put before the input
        padding = (0 if causal else kernel // 2, 0)
        self.depthwise = nn.Conv2d(dim, dim, (kernel, 1), padding=padding, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.contract = nn.Linear(dim, dim)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, inside: Tensor, cache: Optional[BlockCache] = None) -> Tensor:
        """(batch, frame, dim) to the same shape; `inside` (batch, 1, 1, frame)."""
        gated = F.glu(self.expand(x), dim=-1) * inside.view(inside.shape[0], -1, 1)
        if cache is not None:
            gated = torch.cat([cache.gated, gated], dim=1)
            cache.gated = gated[:, x.shape[1] :]
        elif self.earlier:
            gated = F.pad(gated, (0, 0, self.earlier, 0))
        channels = gated.transpose(1, 2).unsqueeze(3)  # (batch, dim, frame, 1), a channels-last view
        mixed = self.depthwise(channels).squeeze(3).transpose(1, 2)
        contracted: Tensor = self.contract(F.silu(self.norm(mixed.float())))
        return contracted


def heads_of(config: ModelConfig) -> Tuple[int, int]:
    """Number of heads of the encoder's self-attention, and their width, which pruning doesn't change."""
    return config.encoder_heads or config.attention_heads, config.attention_dim // config.attention_heads


class ConformerBlock(EncoderBlock):
    """Self-attention, convolution module and feed-forward network, each pre-norm and residual."""

    attends, convolves = True, True

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        dim, attention = config.attention_dim, SELF_ATTENTION[config.positions]
        self.norm1 = nn.LayerNorm(dim) if self.attends else None
        heads, head_dim = heads_of(config)
        self.attention = attention(dim, heads, config.dropout, head_dim) if self.attends else None
        self.convolution = None
        if self.convolves:
            kernel, causal = config.convolution_kernel, config.convolution_causal
            self.convolution = ConvolutionModule(dim, kernel, causal)
        self.norm2 = nn.LayerNorm(dim) if self.convolves else None
        self.norm3 = nn.LayerNorm(dim)
        hidden = config.encoder_feedforward_dim or config.feedforward_dim
        self.expand = nn.Linear(dim, hidden)
        self.contract = nn.Linear(hidden, dim)
        self.dropout = Dropout(config.dropout)
        self.receptive_frames = math.inf if self.attends else config.convolution_kernel

    def positions(self, frames: int, device: torch.device) -> Optional[Tensor]:
        """Positional encoding of model.positions."""
        return None if self.attention is None else self.attention.positions(frames, device)

    def forward(
        self,
        x: Tensor,
        inside: Tensor,
        positions: Optional[Tensor],
        visible: Optional[Tensor] = None,
        cache: Optional[BlockCache] = None,
    ) -> Tensor:
        """(batch, frame, dim) to the same shape."""
        visible = inside if visible is None else visible
        if self.attention is not None and self.norm1 is not None and positions is not None:
            x = x + self.dropout(self.attention(self.norm1(x), visible, positions, cache))
        if self.convolution is not None and self.norm2 is not None:
            x = x + self.dropout(self.convolution(self.norm2(x), inside, cache))
        return self.feed_forward(x)

    def feed_forward(self, x: Tensor) -> Tensor:
        """Each vector (..., dim) with its feed-forward network's output added."""
        hidden = self.dropout(F.silu(self.expand(self.norm3(x))))
        return x + self.dropout(self.contract(hidden))


class AttentionBlock(ConformerBlock):
    """Transformer encoder block: self-attention and feed-forward network."""

    convolves = False

    def forward_at(self, x: Tensor, places: Tensor, inside: Tensor, positions: Optional[Tensor]) -> Tensor:
        """What forward gives at one frame of each utterance, `places` (batch,): (batch, dim)."""
        own = x[torch.arange(len(x)), places]
        if self.attention is not None and self.norm1 is not None and positions is not None:
            own = own + self.attention.forward_at(self.norm1(x), places, inside, positions)
        return self.feed_forward(own)


class ConvolutionBlock(ConformerBlock):
    """Convolution module and feed-forward network, with a limited receptive field."""

    attends = False


ENCODERS: Dict[str, Type[EncoderBlock]] = {
    "conformer": ConformerBlock,
    "attention": AttentionBlock,
    "convolution": ConvolutionBlock,
}

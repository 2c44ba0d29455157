"""Self-attention blocks with rotary positions, pre-norm."""

import math
from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asrkit.model.dropout import Dropout


def rotary_angles(frames: int, head_dim: int, device: torch.device) -> Tuple[Tensor, Tensor]:
    """Cosines and sines (frame, head_dim / 2) of rotary positions (Su et al. 2021, RoFormer)."""
    rates = 10000.0 ** (-torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim)
    angles = torch.arange(frames, device=device, dtype=torch.float32)[:, None] * rates
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the two halves of each head's vector by its position: (batch, head, frame, head_dim)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


def attend(query: Tensor, key: Tensor, value: Tensor, inside: Tensor, dropout: float) -> Tensor:
    """softmax(Q K' / sqrt(d)) V over frames inside the utterance.

    (batch, head, frame, head_dim) each; `inside` is (batch, 1, 1, frame), true where there is sound.
    torch's fused kernel where this torch has it (2.0 and later), else the same by matmul.
    """
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=inside, dropout_p=dropout)
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # (batch, head, frame, frame)
    weights = scores.masked_fill(~inside, float("-inf")).softmax(dim=-1)
    return F.dropout(weights, dropout) @ value


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017) with rotary positions."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, x: Tensor, inside: Tensor, angles: Tuple[Tensor, Tensor]) -> Tensor:
        """(batch, frame, dim) to the same."""
        batch, frames, dim = x.shape
        packed = self.query_key_value(x).view(batch, frames, 3, self.heads, dim // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4)  # each (batch, head, frame, head_dim)
        dropout = self.dropout if self.training else 0.0
        mixed = attend(rotate(query, *angles), rotate(key, *angles), value, inside, dropout)
        return self.output(mixed.transpose(1, 2).reshape(batch, frames, dim))


class ConvolutionModule(nn.Module):
    """Gated convolution over time, each channel by itself (Gulati et al. 2020, Conformer).

    Layer normalisation in place of their batch normalisation: no statistics to keep padding out of.
    """

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, 2 * dim)
        self.depthwise = nn.Conv2d(dim, dim, (kernel, 1), padding=(kernel // 2, 0), groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.contract = nn.Linear(dim, dim)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """(batch, frame, dim) to the same."""
        gated = F.glu(self.expand(x), dim=-1) * inside.view(inside.shape[0], -1, 1)
        channels = gated.transpose(1, 2).unsqueeze(3)  # (batch, dim, frame, 1), channels-last as it lies
        mixed = self.depthwise(channels).squeeze(3).transpose(1, 2)
        contracted: Tensor = self.contract(F.silu(self.norm(mixed.float())))
        return contracted


class AttentionBlock(nn.Module):
    """Self-attention, convolution, feed-forward network, each with pre-norm and a residual link."""

    def __init__(self, dim: int, heads: int, feedforward_dim: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads, dropout)
        self.convolution = ConvolutionModule(dim, kernel) if kernel else None
        self.norm2 = nn.LayerNorm(dim) if kernel else None
        self.norm3 = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, feedforward_dim)
        self.contract = nn.Linear(feedforward_dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, inside: Tensor, angles: Tuple[Tensor, Tensor]) -> Tensor:
        """(batch, frame, dim) to the same."""
        x = x + self.dropout(self.attention(self.norm1(x), inside, angles))
        if self.convolution is not None and self.norm2 is not None:
            x = x + self.dropout(self.convolution(self.norm2(x), inside))
        hidden = self.dropout(F.silu(self.expand(self.norm3(x))))
        return x + self.dropout(self.contract(hidden))

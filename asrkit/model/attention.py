"""Attention, dropout, and the blocks of the encoder, pre-norm."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asrkit.config import ModelConfig
from asrkit.model.positions import align_distances, rotate

LEVELS = 256  # of a random byte: probabilities are rounded to 1/256


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014).

    torch's own draws a random number an element on one thread, a tenth of a training step on a CPU;
    here one of 64 bits serves eight elements. On a GPU it is torch's own.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Set each element to 0 with probability p, and scale the others to keep the mean."""
        level = round(self.p * LEVELS)
        if not self.training or not level:
            return x
        if x.is_cuda:
            return F.dropout(x, self.p)
        drawn = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = drawn.view(torch.uint8)[: x.numel()] >= level
        factors = kept.float().mul_(LEVELS / (LEVELS - level))  # so that each way is one product
        return (x * factors.view(x.shape)).to(x.dtype)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float) -> Tensor:
    """softmax(Q K' / sqrt(d)) V over the keys that `mask` lets each query see.

    (batch, head, frame, head_dim) each. `mask` broadcasts to (batch, head, query, key): true where a query
    sees a key, or numbers to add to the scores, minus infinity where it doesn't.
    torch's fused kernel where this torch has it (2.0 and later), else the same by matmul.
    """
    query, key = query.to(value.dtype), key.to(value.dtype)  # positions make them float32
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # (batch, head, query, key)
    scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    weights = scores.softmax(dim=-1)
    return (F.dropout(weights, dropout) if dropout else weights) @ value


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017) with rotary positions."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """(batch, frame, dim) to the same; `mask` as in attend, `positions` of rotary_angles."""
        batch, frames, dim = x.shape
        packed = self.query_key_value(x).view(batch, frames, 3, self.heads, dim // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4)  # each (batch, head, frame, head_dim)
        mixed = self.mix(query, key, value, mask, positions)
        return self.output(mixed.transpose(1, 2).reshape(batch, frames, dim))

    def mix(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Values (batch, head, frame, head_dim) averaged by the attention that each query pays."""
        dropout = self.dropout if self.training else 0.0
        return attend(rotate(query, positions), rotate(key, positions), value, mask, dropout)


class RelativeSelfAttention(SelfAttention):
    """The same with relative positions: how far a key is adds to its score (Dai et al. 2019, Transformer-XL).

    The score of query q with key k at distance d is (q + u) k + (q + v) W r(d): u and v are learned, r are
    sinusoids, to the future as to the past.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__(dim, heads, dropout)
        self.distance = nn.Linear(dim, dim, bias=False)  # W
        self.content_bias = nn.Parameter(torch.zeros(dim))  # u
        self.distance_bias = nn.Parameter(torch.zeros(dim))  # v

    def mix(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """As of SelfAttention; `positions` of distance_sinusoids."""
        u, v, distances = (
            tensor.view(-1, self.heads, query.shape[-1]).transpose(0, 1)  # (head, 1 or 2 * frame, head_dim)
            for tensor in (self.content_bias, self.distance_bias, self.distance(positions))
        )
        scores = align_distances((query + v) @ distances.transpose(-2, -1)) / math.sqrt(query.shape[-1])
        scores = scores.masked_fill(~mask, float("-inf"))
        query = query + u
        return attend(query, key, value, scores.to(value.dtype), self.dropout if self.training else 0.0)


class CrossAttention(nn.Module):
    """Multi-head attention of token sequences to the encoder's output (Vaswani et al. 2017)."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, x: Tensor, encoded: Tensor, mask: Tensor) -> Tensor:
        """(batch * sequence, token, dim) and (batch, frame, dim) to the first's shape.

        An utterance's sequences, of any number, stand after one another; its keys are computed once.
        """
        batch, frames, dim = encoded.shape
        head_dim = dim // self.heads
        query = self.query(x).view(batch, -1, self.heads, head_dim).transpose(1, 2)
        packed = self.key_value(encoded).view(batch, frames, 2, self.heads, head_dim)
        key, value = packed.permute(2, 0, 3, 1, 4)  # each (batch, head, frame, head_dim)
        mixed = attend(query, key, value, mask, self.dropout if self.training else 0.0)
        return self.output(mixed.transpose(1, 2).reshape(x.shape))


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

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim, kernel = config.attention_dim, config.convolution_kernel
        attention = RelativeSelfAttention if config.positions == "relative" else SelfAttention
        self.norm1 = nn.LayerNorm(dim) if config.attention else None
        self.attention = attention(dim, config.attention_heads, config.dropout) if config.attention else None
        self.convolution = ConvolutionModule(dim, kernel) if kernel else None
        self.norm2 = nn.LayerNorm(dim) if kernel else None
        self.norm3 = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, config.feedforward_dim)
        self.contract = nn.Linear(config.feedforward_dim, dim)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, inside: Tensor, positions: Tensor) -> Tensor:
        """(batch, frame, dim) to the same; `inside` (batch, 1, 1, frame) is false in padding."""
        if self.attention is not None and self.norm1 is not None:
            x = x + self.dropout(self.attention(self.norm1(x), inside, positions))
        if self.convolution is not None and self.norm2 is not None:
            x = x + self.dropout(self.convolution(self.norm2(x), inside))
        hidden = self.dropout(F.silu(self.expand(self.norm3(x))))
        return x + self.dropout(self.contract(hidden))

"""Dropout, self-attention with rotary or relative positions, and cross-attention."""

import dataclasses
import math
from typing import Any, Dict, Optional, Type

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 256  # values of a random byte: drop probabilities are rounded to 1/256


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014).

    On a CPU torch draws one random number per element in a single thread, which takes a tenth of a training
    step. Here one number of 64 bits serves eight elements. On a GPU this is torch's own.
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
        factors = kept.float().mul_(LEVELS / (LEVELS - level))  # forward and backward are one product each
        return (x * factors.view(x.shape)).to(x.dtype)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float) -> Tensor:
    """Scaled dot-product attention: softmax(Q K' / sqrt(d)) V.

    Query, key and value: (batch, head, frame, head_dim). `mask` broadcasts to (batch, head, query, key): true
    where a query attends to a key, or floats to add to the scores, minus infinity to exclude a key.
    Uses torch's fused kernel if there is one (torch 2.0), else matmul.
    """
    query, key = query.to(value.dtype), key.to(value.dtype)  # positional encoding makes them float32
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # (batch, head, query, key)
    scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    weights = scores.softmax(dim=-1)
    return (F.dropout(weights, dropout) if dropout else weights) @ value


@dataclasses.dataclass
class BlockCache:
    """What an encoder block keeps of earlier frames, in streaming."""

    keys: Tensor  # (batch, head, frame, head_dim), not rotated
    values: Tensor  # as the keys
    gated: Tensor  # (batch, frame, dim), the input of the depthwise convolution


class StackedLinear(nn.Linear):
    """A linear layer whose weight is several (inner, dim) matrices on top of each other."""

    def __init__(self, dim: int, matrices: int, inner: Optional[int] = None) -> None:
        super().__init__(dim, matrices * (inner or dim))
        self.matrices = matrices  # the optimiser Muon orthogonalises each by itself


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017) with rotary positions (Su et al. 2021, RoFormer)."""

    products = 2  # of activations, of (frame, frame, dim) each: queries with keys, weights with values

    def __init__(self, dim: int, heads: int, dropout: float, head_dim: Optional[int] = None) -> None:
        super().__init__()
        self.dim, self.heads, self.dropout = dim, heads, dropout
        self.inner = heads * (head_dim or dim // heads)
        self.query_key_value = StackedLinear(dim, 3, self.inner)
        self.output = nn.Linear(self.inner, dim)

    def positions(self, frames: int, device: torch.device) -> Tensor:
        """Cosines and sines (2, frame, head_dim / 2) of the rotary angles, for all utterances and blocks."""
        angles = torch.arange(frames, device=device, dtype=torch.float32)[:, None]
        angles = angles * _rates(self.inner // self.heads, device)
        return torch.stack([angles.cos(), angles.sin()])

    def forward(
        self, x: Tensor, mask: Tensor, positions: Tensor, cache: Optional[BlockCache] = None
    ) -> Tensor:
        """(batch, frame, dim) to the same shape; `mask` as in attend. With a cache, keys and positions are
        those of the frames before, too."""
        batch, frames, _ = x.shape
        packed = self.query_key_value(x).view(batch, frames, 3, self.heads, self.inner // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4)  # each (batch, head, frame, head_dim)
        if cache is not None:
            key, value = torch.cat([cache.keys, key], dim=2), torch.cat([cache.values, value], dim=2)
            cache.keys, cache.values = key[:, :, frames:], value[:, :, frames:]
        mixed = self.mix(query, key, value, mask, positions)
        return self.output(mixed.transpose(1, 2).reshape(batch, frames, self.inner))

    def forward_at(self, x: Tensor, places: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """What forward gives at one frame of each utterance, `places` (batch,): (batch, dim)."""
        batch, frames, _ = x.shape
        shape = self.heads, self.inner // self.heads
        weights, biases = self.query_key_value.weight, self.query_key_value.bias
        query = F.linear(x[torch.arange(batch), places], weights[: self.inner], biases[: self.inner])
        packed = F.linear(x, weights[self.inner :], biases[self.inner :]).view(batch, frames, 2, *shape)
        key, value = packed.permute(2, 0, 3, 1, 4)  # each (batch, head, frame, head_dim)
        own = positions[:, places, None, None]  # (2, batch, head, query, head_dim / 2)
        query = rotate(query.view(batch, self.heads, 1, -1), own)
        return self.output(attend(query, rotate(key, positions), value, mask, 0.0).flatten(1))

    def mix(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Attention-weighted sum of the values, (batch, head, frame, head_dim)."""
        dropout = self.dropout if self.training else 0.0
        own = positions[:, key.shape[2] - query.shape[2] :]  # keys may begin earlier
        return attend(rotate(query, own), rotate(key, positions), value, mask, dropout)

    def multiply_adds(self, inputs: Any, output: Tensor) -> int:
        """Multiply-adds of a forward pass besides those of the layers."""
        return self.products * output.shape[0] * output.shape[1] ** 2 * self.inner


class RelativeSelfAttention(SelfAttention):
    """Self-attention with relative positions (Dai et al. 2019, Transformer-XL).

    The score of query q with key k at distance d is (q + u) k + (q + v) W r(d). u and v are learned, r(d) are
    sinusoids. Distances are signed: future frames are distinguished from past ones.
    """

    products = 4  # also queries with the 2 * frame distances

    def __init__(self, dim: int, heads: int, dropout: float, head_dim: Optional[int] = None) -> None:
        super().__init__(dim, heads, dropout, head_dim)
        self.distance = nn.Linear(dim, self.inner, bias=False)  # W
        self.content_bias = nn.Parameter(torch.zeros(self.inner))  # u
        self.distance_bias = nn.Parameter(torch.zeros(self.inner))  # v

    def positions(self, frames: int, device: torch.device) -> Tensor:
        """Sines and cosines (2 * frame, dim) of the distances frame, frame - 1, ..., 1 - frame."""
        distances = torch.arange(frames, -frames, -1, device=device, dtype=torch.float32)
        angles = distances[:, None] * _rates(self.dim, device)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def forward_at(self, x: Tensor, places: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """What forward gives at one frame of each utterance, `places` (batch,): (batch, dim)."""
        whole: Tensor = self(x, mask, positions)
        return whole[torch.arange(len(x)), places]

    def mix(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Attention-weighted sum of the values, (batch, head, frame, head_dim)."""
        u, v, distances = (
            tensor.view(-1, self.heads, query.shape[-1]).transpose(0, 1)  # (head, 1 or 2 * frame, head_dim)
            for tensor in (self.content_bias, self.distance_bias, self.distance(positions))
        )
        scores = align_distances((query + v) @ distances.transpose(-2, -1)) / math.sqrt(query.shape[-1])
        scores = scores.masked_fill(~mask, float("-inf"))
        query = query + u
        return attend(query, key, value, scores.to(value.dtype), self.dropout if self.training else 0.0)


class CrossAttention(nn.Module):
    """Multi-head attention of token sequences to the encoder output (Vaswani et al. 2017)."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(dim, dim)
        self.key_value = StackedLinear(dim, 2)
        self.output = nn.Linear(dim, dim)

    def forward(self, x: Tensor, encoded: Tensor, mask: Tensor) -> Tensor:
        """Tokens (batch * sequence, token, dim) and frames (batch, frame, dim) to the shape of the tokens.

        All sequences of an utterance are adjacent and share its keys, which are computed once.
        """
        batch, frames, dim = encoded.shape
        head_dim = dim // self.heads
        query = self.query(x).view(batch, -1, self.heads, head_dim).transpose(1, 2)
        packed = self.key_value(encoded).view(batch, frames, 2, self.heads, head_dim)
        key, value = packed.permute(2, 0, 3, 1, 4)  # each (batch, head, frame, head_dim)
        mixed = attend(query, key, value, mask, self.dropout if self.training else 0.0)
        return self.output(mixed.transpose(1, 2).reshape(x.shape))

    def multiply_adds(self, inputs: Any, output: Tensor) -> int:
        """Multiply-adds of a forward pass besides those of the layers."""
        return 2 * int(inputs[1].shape[1]) * output.numel()


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Apply rotary position embedding to (batch, head, frame, head_dim), with `angles` of positions."""
    cosine, sine = angles
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


def align_distances(scores: Tensor) -> Tensor:
    """Scores of each query with each distance, (batch, head, query, 2 * frame), to scores of each query with
    each key, (batch, head, query, key): query i and key j are at distance i - j.

    For 3 frames, with the distances of positions (the relative shift of Transformer-XL):

        query 0   3  2  1 [0 -1 -2]
        query 1   3  2 [1  0 -1]-2     each row starts one element earlier than the row above:
        query 2   3 [2  1  0]-1 -2     rows of length 2 * frame - 1 in memory, so a view is enough
    """
    frames = scores.shape[2]
    shifted = scores.flatten(2)[..., frames:].unflatten(-1, (frames, 2 * frames - 1))
    return shifted[..., :frames]


def _rates(dim: int, device: torch.device) -> Tensor:
    """Radians per frame (dim / 2,), from 1 to nearly 1 / 10,000 (Vaswani et al. 2017)."""
    return 10000.0 ** (-torch.arange(0, dim, 2, device=device, dtype=torch.float32) / dim)


SELF_ATTENTION: Dict[str, Type[SelfAttention]] = {"rotary": SelfAttention, "relative": RelativeSelfAttention}

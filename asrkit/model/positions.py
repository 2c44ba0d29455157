"""Positions of frames, as self-attention is told of them: rotary or relative."""

import torch
from torch import Tensor


def rotary_angles(frames: int, head_dim: int, device: torch.device) -> Tensor:
    """Cosines and sines (2, frame, head_dim / 2) of rotary positions (Su et al. 2021, RoFormer)."""
    angles = torch.arange(frames, device=device, dtype=torch.float32)[:, None] * _rates(head_dim, device)
    return torch.stack([angles.cos(), angles.sin()])


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn the two halves of each head's vector by its position: (batch, head, frame, head_dim)."""
    cosine, sine = angles
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


def distance_sinusoids(frames: int, dim: int, device: torch.device) -> Tensor:
    """Sines and cosines (2 * frame, dim) of distances frame, frame - 1, ..., 1 - frame (Dai et al. 2019)."""
    distances = torch.arange(frames, -frames, -1, device=device, dtype=torch.float32)
    angles = distances[:, None] * _rates(dim, device)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def align_distances(scores: Tensor) -> Tensor:
    """From scores of each query with each distance to scores with each key.

    (batch, head, query, 2 * frame), the distances in the order of distance_sinusoids, to
    (batch, head, query, key): that of query i with key j stands at distance i - j. The row of a query
    begins one number later than the row above it, so that a view does it.
    """
    frames = scores.shape[2]
    shifted = scores.flatten(2)[..., frames:].unflatten(-1, (frames, 2 * frames - 1))
    return shifted[..., :frames]


def _rates(dim: int, device: torch.device) -> Tensor:
    """Radians a frame (dim / 2,), from 1 to nearly 1 / 10,000 (Vaswani et al. 2017)."""
    return 10000.0 ** (-torch.arange(0, dim, 2, device=device, dtype=torch.float32) / dim)

"""SpecAugment: masks over time and frequency (Park et al. 2019)."""

import torch
from torch import Tensor

from asrkit.config import TrainConfig


def spec_augment(
    features: Tensor, lengths: Tensor, config: TrainConfig, generator: torch.Generator
) -> Tensor:
    """Set random bands of normalised features to 0, the mean. Returns a new tensor.

    (batch, time, bin), frames (batch,); all randomness comes from `generator`.
    """
    batch, _, bins = features.shape
    masked = features.clone()

    def draw(highest: int) -> int:
        return int(torch.randint(0, highest + 1, (1,), generator=generator))

    for row in range(batch):
        frames = int(lengths[row])
        for _ in range(config.frequency_masks):
            width = draw(min(config.frequency_mask_bins, bins))
            start = draw(bins - width)
            masked[row, :, start : start + width] = 0.0
        for _ in range(config.time_masks):
            width = draw(int(frames * config.time_mask_fraction))
            start = draw(frames - width)
            masked[row, start : start + width] = 0.0
    return masked

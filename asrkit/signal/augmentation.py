"""Augmentation of features: SpecAugment's masks, the frequency axis warped as by another vocal tract, and
level and tilt of the spectrum as of another voice and microphone."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from asrkit.config import TrainConfig

DECIBEL = math.log(10.0) / 10.0  # in the natural logarithm of energy that features are


def spec_augment(
    features: Tensor, lengths: Tensor, config: TrainConfig, top_hertz: float, generator: torch.Generator
) -> Tensor:
    """Warp the frequency axis and time, then set random bands of normalised features to 0, the mean
    (Park et al. 2019). Returns a new tensor.

    (batch, time, bin), frames (batch,); bins end at `top_hertz`; all randomness comes from `generator`.
    """
    batch, _, bins = features.shape
    masked = warp_frequencies(features, config.frequency_warp, top_hertz, generator)
    if config.time_warp_frames:
        for row in range(batch):
            warp_time(masked[row, : int(lengths[row])], config.time_warp_frames, generator)

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


def tilt_spectrum(
    features: Tensor,
    lengths: Tensor,
    config: TrainConfig,
    inverse_deviation: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Change each utterance's level by up to train.level_decibels, and raise its highest bin over its lowest
    by up to train.tilt_decibels or lower it as much, the bins between in proportion.

    (batch, time, bin), normalised with `inverse_deviation` (bin,); frames (batch,). Frames of padding stay 0.
    Where both settings are 0, `features` itself is returned and nothing is drawn.
    """
    if not config.level_decibels and not config.tilt_decibels:
        return features
    batch, time, bins = features.shape
    level, tilt = 2.0 * torch.rand(2, batch, 1, generator=generator) - 1.0
    slope = torch.linspace(-0.5, 0.5, bins)
    decibels = config.level_decibels * level + config.tilt_decibels * tilt * slope  # (batch, bin)
    inside = torch.arange(time) < lengths[:, None]
    return features + (decibels * DECIBEL * inverse_deviation)[:, None] * inside[:, :, None]


def warp_frequencies(
    features: Tensor, widest: float, top_hertz: float, generator: torch.Generator
) -> Tensor:
    """Scale each utterance's frequencies by a factor of its own between 1 - widest and 1 + widest.

    (batch, time, bin) to a new tensor; values between bins are interpolated. After vocal tract length
    perturbation (Jaitly and Hinton 2013), on a mel scale from 0 to `top_hertz`.
    """
    if not widest:
        return features.clone()
    batch, _, bins = features.shape
    factors = 1.0 + widest * (2.0 * torch.rand(batch, 1, generator=generator) - 1.0)
    top = math.log(1.0 + top_hertz / 700.0)  # mel is proportional to ln(1 + hertz / 700)
    hertz = torch.expm1(torch.arange(bins) / (bins - 1) * top)[None]  # in units of 700
    places = (torch.log1p(hertz * factors) / top).clamp(max=1.0) * (bins - 1)  # (batch, bin)
    below = places.floor().long().clamp(max=bins - 2)
    share = (places - below)[:, None]
    low, high = torch.empty_like(features), torch.empty_like(features)
    for index, (row, source) in enumerate(zip(features, below)):
        torch.index_select(row, 1, source, out=low[index])
        torch.index_select(row, 1, source + 1, out=high[index])
    return low.lerp_(high, share.expand_as(low))


def warp_time(features: Tensor, furthest: int, generator: torch.Generator) -> None:
    """Move a random moment by up to `furthest` frames, what is before and after stretched to fit, in place.

    (time, bin). An utterance not longer than twice `furthest` stays as it is. Source: Park et al. 2019.
    """
    frames = len(features)
    if frames <= 2 * furthest + 1:
        return
    moment = int(torch.randint(furthest + 1, frames - furthest, (1,), generator=generator))
    target = moment + int(torch.randint(-furthest, furthest + 1, (1,), generator=generator))
    parts = [
        F.interpolate(part.T[None], size=size, mode="linear", align_corners=False)[0].T
        for part, size in ((features[:moment], target), (features[moment:], frames - target))
        if size
    ]
    features.copy_(torch.cat(parts))

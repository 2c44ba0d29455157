"""Augmentation of features: one class per kind of transform, found by the class of its settings.

To add a transform, write its settings in asrkit/config/recipe.py, and its class here with an entry in
FEATURES. All random numbers come from the generator that a transform is given. Transforms of waveforms are
in asrkit.signal.degradation.
"""

import dataclasses
import itertools
import math
from typing import Any, Dict, List, Sequence, Type

import torch
import torch.nn.functional as F
from torch import Tensor

from asrkit.config.recipe import GainAndTiltConfig, SpecAugmentConfig, VtlpConfig

DECIBEL = math.log(10.0) / 10.0  # in features, which are natural logarithms of energies


@dataclasses.dataclass(frozen=True)
class FeatureTransform:
    """A transform of normalised features. Padding stays 0."""

    settings: Any
    # (bin,), which the features were multiplied by
    inverse_std: Tensor = dataclasses.field(default_factory=lambda: torch.ones(1))
    top_hertz: float = 8000.0  # where the highest bin ends

    def __call__(self, features: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Features (batch, time, bin) with their numbers of frames (batch,), transformed; not in place."""
        raise NotImplementedError


class GainAndTilt(FeatureTransform):
    """Random gain and spectral tilt per utterance."""

    settings: GainAndTiltConfig

    def __call__(self, features: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Add up to max_gain dB to all bins and up to max_tilt dB from the lowest bin to the highest."""
        config = self.settings
        if not config.max_gain and not config.max_tilt:
            return features
        batch, time, bins = features.shape
        gain, tilt = 2.0 * torch.rand(2, batch, 1, generator=generator) - 1.0
        slope = torch.linspace(-0.5, 0.5, bins)
        decibels = config.max_gain * gain + config.max_tilt * tilt * slope  # (batch, bin)
        inside = torch.arange(time) < lengths[:, None]
        return features + (decibels * DECIBEL * self.inverse_std)[:, None] * inside[:, :, None]


class Vtlp(FeatureTransform):
    """Vocal tract length perturbation (Jaitly and Hinton 2013), on a mel scale from 0 to `top_hertz`."""

    settings: VtlpConfig

    def __call__(self, features: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Scale each utterance's frequencies by 1 - max_warp to 1 + max_warp, by linear interpolation."""
        if not self.settings.max_warp:
            return features
        batch, _, bins = features.shape
        factors = 1.0 + self.settings.max_warp * (2.0 * torch.rand(batch, 1, generator=generator) - 1.0)
        top = math.log(1.0 + self.top_hertz / 700.0)  # mel is proportional to ln(1 + hertz / 700)
        hertz = torch.expm1(torch.arange(bins) / (bins - 1) * top)[None]  # in units of 700
        places = (torch.log1p(hertz * factors) / top).clamp(max=1.0) * (bins - 1)  # (batch, bin)
        below = places.floor().long().clamp(max=bins - 2)
        share = (places - below)[:, None]
        low, high = torch.empty_like(features), torch.empty_like(features)
        for index, (row, source) in enumerate(zip(features, below)):
            torch.index_select(row, 1, source, out=low[index])
            torch.index_select(row, 1, source + 1, out=high[index])
        return low.lerp_(high, share.expand_as(low))


class SpecAugment(FeatureTransform):
    """Time warping, then frequency and time masks of 0, the mean (Park et al. 2019)."""

    settings: SpecAugmentConfig

    def __call__(self, features: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Warp all utterances, then mask each."""
        config, bins = self.settings, features.shape[2]

        def draw(highest: int) -> int:
            return int(torch.randint(0, highest + 1, (1,), generator=generator))

        masked = features.clone()
        utterances = [row[:frames] for row, frames in zip(masked, lengths.tolist())]  # views, (time, bin)
        for utterance in utterances if config.time_warp_frames else []:
            warp_time(utterance, config.time_warp_frames, generator)
        for utterance in utterances:
            for _ in range(config.frequency_masks):
                width = draw(min(config.frequency_mask_bins, bins))
                start = draw(bins - width)
                utterance[:, start : start + width] = 0.0
            for _ in range(config.time_masks):
                width = draw(int(len(utterance) * config.time_mask_fraction))
                start = draw(len(utterance) - width)
                utterance[start : start + width] = 0.0
        return masked


def warp_time(features: Tensor, furthest: int, generator: torch.Generator) -> None:
    """Shift a random frame by up to `furthest` frames in place, and stretch both sides to fit: (time, bin).

    An utterance of at most twice `furthest` frames is left as it is. Source: Park et al. 2019.
    """
    frames = len(features)
    if frames <= 2 * furthest + 1:
        return
    frame = int(torch.randint(furthest + 1, frames - furthest, (1,), generator=generator))
    target = frame + int(torch.randint(-furthest, furthest + 1, (1,), generator=generator))
    parts = [
        F.interpolate(part.T[None], size=size, mode="linear", align_corners=False)[0].T
        for part, size in ((features[:frame], target), (features[frame:], frames - target))
        if size
    ]
    features.copy_(torch.cat(parts))


# Transforms by the class of their settings, in the order of application
FEATURES: Dict[type, Type[FeatureTransform]] = {
    GainAndTiltConfig: GainAndTilt,
    VtlpConfig: Vtlp,
    SpecAugmentConfig: SpecAugment,
}


def augment_features(
    transforms: Sequence[FeatureTransform],
    features: Tensor,
    lengths: Tensor,
    generator: torch.Generator,
    views: int = 1,
) -> Tensor:
    """`views` transformed copies of a batch (batch, time, bin), one after the other."""
    copies: List[Tensor] = [features] * views
    # Gain and tilt are drawn for all views first: with seeds of earlier versions, the same training
    for _, group in itertools.groupby(transforms, lambda transform: isinstance(transform, GainAndTilt)):
        together = list(group)
        for view in range(views):
            for transform in together:
                copies[view] = transform(copies[view], lengths, generator)
    return torch.cat(copies)

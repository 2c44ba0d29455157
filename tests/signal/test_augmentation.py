import math
from typing import get_args

import numpy as np
import pytest
import torch

from asrkit.config import (
    Augmentation,
    ConcatenateConfig,
    FeaturesConfig,
    GainAndTiltConfig,
    SpecAugmentConfig,
    VtlpConfig,
)
from asrkit.signal.augmentation import (
    DECIBEL,
    FEATURES,
    FeatureTransform,
    GainAndTilt,
    SpecAugment,
    Vtlp,
    augment_features,
    warp_time,
)
from asrkit.signal.degradation import WAVEFORM
from asrkit.signal.filterbank import FilterBank
from tests.corpus.sound import noise

MASKS = SpecAugmentConfig(time_masks=2, time_mask_fraction=0.2, frequency_masks=2, frequency_mask_bins=8)
LENGTHS = torch.tensor([100, 60, 100])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augment(seed: int) -> torch.Tensor:
    return SpecAugment(MASKS)(torch.ones(3, 100, 40), LENGTHS, seeded(seed))


def test_each_settings_class_has_one_transform_in_the_same_order() -> None:
    assert get_args(Augmentation) == (ConcatenateConfig, *WAVEFORM, *FEATURES)


def test_masks_are_bands_of_zeros_no_wider_than_set() -> None:
    for seed in range(20):
        masked = augment(seed)
        frames_masked = (masked == 0).all(dim=2)[:, :].sum(dim=1)
        bins_masked = (masked == 0).all(dim=1).sum(dim=1)
        assert set(masked.unique().tolist()) <= {0.0, 1.0}
        assert int(frames_masked.max()) <= 2 * 20
        assert int(bins_masked.max()) <= 2 * 8
        assert not (masked[1] == 0).all(dim=1)[60:].any()  # time masks stay within the utterance


def test_the_same_seed_gives_the_same_masks() -> None:
    assert torch.equal(augment(3), augment(3))
    assert not torch.equal(augment(3), augment(4))


@pytest.mark.parametrize("top_hertz", [4000.0, 8000.0])
def test_frequencies_move_by_the_factor_and_padding_stays_zero(top_hertz: float) -> None:
    features = torch.arange(80.0).expand(50, 30, 80).clone()  # each bin holds its own number
    features[0, 20:] = 0.0
    lengths = torch.full((50,), 30)
    vtlp = Vtlp(VtlpConfig(max_warp=0.2), top_hertz=top_hertz)
    warped = vtlp(features, lengths, seeded(1))
    top = math.log1p(top_hertz / 700)
    hertz = math.expm1(59 / 79 * top)  # bin 59, in units of 700 Hz
    factors = torch.expm1(warped[:, 0, 59] / 79 * top) / hertz
    assert 0.79 < float(factors.min()) < 0.9 and 1.1 < float(factors.max()) < 1.21
    assert not warped[0, 20:].any()


def test_time_warping_shifts_a_frame_and_keeps_the_order_of_frames() -> None:
    moved = set()
    for seed in range(20):
        ramp = torch.arange(100.0)[:, None].repeat(1, 3)
        warp_time(ramp, 20, seeded(seed))
        steps = ramp[1:, 0] - ramp[:-1, 0]
        assert ramp.shape == (100, 3) and float(steps.min()) >= 0
        assert float(ramp[0, 0]) <= 20 and float(ramp[-1, 0]) >= 79
        moved.add(round(float((ramp[:, 0] - torch.arange(100.0)).abs().max())))
    assert max(moved) > 10 and max(moved) <= 20


def test_a_short_utterance_is_not_warped() -> None:
    ramp = torch.arange(41.0)[:, None]
    warp_time(ramp, 20, seeded(0))
    assert torch.equal(ramp, torch.arange(41.0)[:, None])


def test_padding_does_not_change_what_is_drawn() -> None:
    transforms = (
        GainAndTilt(GainAndTiltConfig(), torch.ones(40)),
        Vtlp(VtlpConfig(max_warp=0.2)),
        SpecAugment(SpecAugmentConfig(time_warp_frames=10, frequency_mask_bins=8)),
    )
    features, lengths = torch.randn(3, 100, 40), torch.tensor([100, 15, 60])
    for row, length in enumerate(lengths.tolist()):
        features[row, length:] = 0.0

    def augmented(padding: int) -> torch.Tensor:
        padded = torch.nn.functional.pad(features, (0, 0, 0, padding))
        return augment_features(transforms, padded, lengths, seeded(1))

    longer = augmented(50)
    assert torch.equal(longer[:, :100], augmented(0)) and not longer[:, 100:].any()
    assert not longer[1, 15:].any() and not longer[2, 60:].any()


def test_gain_and_tilt_are_the_drawn_decibels_of_the_energy() -> None:
    settings = GainAndTiltConfig(max_gain=6.0, max_tilt=10.0)
    features, lengths = torch.randn(200, 30, 40), torch.full((200,), 30)
    features[0, 20:], lengths[0] = 0.0, 20
    deviation = torch.linspace(2.0, 4.0, 40)
    change = (GainAndTilt(settings, 1 / deviation)(features, lengths, seeded(1)) - features) * deviation
    assert not change[0, 20:].any()
    decibels = 10 * torch.log10(torch.exp(change[:, :20]))
    assert float((decibels - decibels[:, :1]).abs().max()) < 1e-3  # the same in all frames
    lowest, highest = decibels[:, 0, 0], decibels[:, 0, -1]
    middle = decibels[:, 0, 19:21].mean(dim=1)
    torch.testing.assert_close(middle, (lowest + highest) / 2, atol=1e-3, rtol=0)
    for drawn, widest in ((middle, 6.0), (highest - lowest, 10.0)):
        assert 0.9 * widest < float(drawn.max()) <= widest + 1e-3
        assert 0.9 * widest < -float(drawn.min()) <= widest + 1e-3


def test_a_gain_equals_that_of_the_audio() -> None:
    bank = FilterBank(FeaturesConfig())
    samples = noise(0.5, 1).astype(np.float32)
    quiet, loud = (torch.from_numpy(bank.extract(gain * samples)) for gain in (1.0, 10 ** (3 / 20)))
    assert float((loud - quiet - 3 * DECIBEL).abs().max()) <= 1.5 / 1024


@pytest.mark.parametrize(
    "transform",
    [GainAndTilt(GainAndTiltConfig(max_gain=0.0, max_tilt=0.0)), Vtlp(VtlpConfig(max_warp=0.0))],
    ids=["gain and tilt", "VTLP"],
)
def test_a_transform_with_a_range_of_0_draws_nothing(transform: FeatureTransform) -> None:
    generator, features = seeded(1), torch.randn(2, 5, 4)
    assert transform(features, torch.tensor([5, 5]), generator) is features
    assert torch.equal(generator.get_state(), seeded(1).get_state())


def test_views_of_a_batch_are_drawn_one_after_the_other() -> None:
    transforms = (Vtlp(VtlpConfig()), SpecAugment(MASKS))
    features, generator = torch.randn(3, 100, 40), seeded(1)
    views = augment_features(transforms, features, LENGTHS, seeded(1), views=2).chunk(2)
    for view in views:
        assert torch.equal(view, augment_features(transforms, features, LENGTHS, generator))
    assert not torch.equal(*views)

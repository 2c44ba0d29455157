import math

import msgspec
import numpy as np
import pytest
import torch

from asrkit.config import FeaturesConfig, TrainConfig
from asrkit.signal.augmentation import DECIBEL, spec_augment, tilt_spectrum, warp_frequencies, warp_time
from asrkit.signal.filterbank import FilterBank
from tests.corpus.sound import noise

CONFIG = TrainConfig(time_masks=2, time_mask_fraction=0.2, frequency_masks=2, frequency_mask_bins=8)


def augment(seed: int) -> torch.Tensor:
    features = torch.ones(3, 100, 40)
    generator = torch.Generator().manual_seed(seed)
    return spec_augment(features, torch.tensor([100, 60, 100]), CONFIG, 8000.0, generator)


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
    generator = torch.Generator().manual_seed(1)
    warped = warp_frequencies(features, 0.2, top_hertz, generator)
    top = math.log1p(top_hertz / 700)
    hertz = math.expm1(59 / 79 * top)  # bin 59, in units of 700 Hz
    factors = torch.expm1(warped[:, 0, 59] / 79 * top) / hertz
    assert 0.79 < float(factors.min()) < 0.9 and 1.1 < float(factors.max()) < 1.21
    assert not warped[0, 20:].any()
    assert torch.equal(warp_frequencies(features, 0.0, top_hertz, generator), features)


def test_a_moment_moves_and_time_runs_on() -> None:
    moved = set()
    for seed in range(20):
        ramp = torch.arange(100.0)[:, None].repeat(1, 3)
        warp_time(ramp, 20, torch.Generator().manual_seed(seed))
        steps = ramp[1:, 0] - ramp[:-1, 0]
        assert ramp.shape == (100, 3) and float(steps.min()) >= 0  # time doesn't turn back
        assert float(ramp[0, 0]) <= 20 and float(ramp[-1, 0]) >= 79
        moved.add(round(float((ramp[:, 0] - torch.arange(100.0)).abs().max())))
    assert max(moved) > 10 and max(moved) <= 20


def test_a_short_utterance_is_not_warped() -> None:
    ramp = torch.arange(41.0)[:, None]
    warp_time(ramp, 20, torch.Generator().manual_seed(0))
    assert torch.equal(ramp, torch.arange(41.0)[:, None])


def test_an_utterance_is_augmented_alike_whatever_the_padding() -> None:
    config = msgspec.structs.replace(CONFIG, time_warp_frames=10, frequency_warp=0.2)
    features, lengths = torch.randn(3, 100, 40), torch.tensor([100, 15, 60])
    for row, length in enumerate(lengths.tolist()):
        features[row, length:] = 0.0

    def augmented(padding: int) -> torch.Tensor:
        padded = torch.nn.functional.pad(features, (0, 0, 0, padding))
        return spec_augment(padded, lengths, config, 8000.0, torch.Generator().manual_seed(1))

    longer = augmented(50)
    assert torch.equal(longer[:, :100], augmented(0)) and not longer[:, 100:].any()
    assert not longer[1, 15:].any() and not longer[2, 60:].any()


def test_level_and_tilt_are_the_drawn_decibels_of_the_energy() -> None:
    config = msgspec.structs.replace(CONFIG, level_decibels=6.0, tilt_decibels=10.0)
    features, lengths = torch.randn(200, 30, 40), torch.full((200,), 30)
    features[0, 20:], lengths[0] = 0.0, 20
    deviation = torch.linspace(2.0, 4.0, 40)
    generator = torch.Generator().manual_seed(1)
    change = (tilt_spectrum(features, lengths, config, 1 / deviation, generator) - features) * deviation
    assert not change[0, 20:].any()
    decibels = 10 * torch.log10(torch.exp(change[:, :20]))
    assert float((decibels - decibels[:, :1]).abs().max()) < 1e-3  # the same in all frames
    lowest, highest = decibels[:, 0, 0], decibels[:, 0, -1]
    middle = decibels[:, 0, 19:21].mean(dim=1)
    torch.testing.assert_close(middle, (lowest + highest) / 2, atol=1e-3, rtol=0)
    for drawn, widest in ((middle, 6.0), (highest - lowest, 10.0)):
        assert 0.9 * widest < float(drawn.max()) <= widest + 1e-3
        assert 0.9 * widest < -float(drawn.min()) <= widest + 1e-3


def test_a_level_is_that_of_louder_audio() -> None:
    bank = FilterBank(FeaturesConfig())
    samples = noise(0.5, 1).astype(np.float32)
    quiet, loud = (torch.from_numpy(bank.extract(gain * samples)) for gain in (1.0, 10 ** (3 / 20)))
    assert float((loud - quiet - 3 * DECIBEL).abs().max()) <= 1.5 / 1024


def test_without_level_and_tilt_nothing_is_drawn() -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 5, 4)
    assert tilt_spectrum(features, torch.tensor([5, 5]), CONFIG, torch.ones(4), generator) is features
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(1).get_state())

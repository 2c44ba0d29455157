import math

import msgspec
import pytest
import torch

from asrkit.config import TrainConfig
from asrkit.signal.augmentation import spec_augment, warp_frequencies, warp_time

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

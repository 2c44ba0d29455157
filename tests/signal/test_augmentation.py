import torch

from asrkit.config import TrainConfig
from asrkit.signal.augmentation import spec_augment

CONFIG = TrainConfig(time_masks=2, time_mask_fraction=0.2, frequency_masks=2, frequency_mask_bins=8)


def augment(seed: int) -> torch.Tensor:
    features = torch.ones(3, 100, 40)
    generator = torch.Generator().manual_seed(seed)
    return spec_augment(features, torch.tensor([100, 60, 100]), CONFIG, generator)


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

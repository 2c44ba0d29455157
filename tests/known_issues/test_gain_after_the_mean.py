"""gain_and_tilt was added after subtracting the utterance's mean, so training saw offsets that never occur in
recognition."""

from pathlib import Path

import msgspec
import pytest

pytest.importorskip("lhotse")

import torch

from asrkit.config import GainAndTiltConfig, ModelConfig, SpecAugmentConfig, VtlpConfig
from asrkit.pipeline.experiment import Experiment
from asrkit.signal.normalisation import Normalisation
from asrkit.train.augmentation import make_augmenter
from asrkit.train.examples import Example
from tests.pipeline.toy import settings

MASKS = SpecAugmentConfig(time_masks=0, frequency_masks=0)
TRANSFORMS = (GainAndTiltConfig(max_gain=6.0, max_tilt=6.0), VtlpConfig(max_warp=0.1), MASKS)


@pytest.mark.parametrize("utterance_mean", [True, False])
def test_means_in_training_are_those_of_recognition(tmp_path: Path, utterance_mean: bool) -> None:
    model = ModelConfig(utterance_mean=utterance_mean)
    config = msgspec.structs.replace(settings(), model=model, augment=TRANSFORMS)
    normalisation = Normalisation(torch.zeros(8), torch.full((8,), 0.4), utterance_mean)
    augmenter = make_augmenter(Experiment(config, tmp_path, tmp_path, tmp_path, 1), normalisation)
    features = normalisation(torch.randn(50, 8, generator=torch.Generator().manual_seed(1)))
    batch, _ = augmenter.batch([Example("u", features, [], "", 0.5)], seed=1, draw=0)
    assert not torch.equal(batch[0], features)  # VTLP is applied in both cases
    offset = float((batch[0].mean(dim=0) - features.mean(dim=0)).abs().max())
    assert (offset < 1e-5) is utterance_mean

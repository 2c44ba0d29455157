"""A pruned model against the whole one with the same parts masked."""

from typing import Any, Dict

import pytest
import torch

from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.model.pruning import find_cuts, prune
from tests.model.test_acoustic import make_model


def shuffle_scales(model: AcousticModel) -> AcousticModel:
    """Other scales for each channel; new models have 1 for all."""
    for name, parameter in model.named_parameters():
        if "bn" in name and name.endswith("weight"):
            parameter.data.uniform_(0.2, 1.5)
    return model


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"front": "resnet-bottleneck", "squeeze_reduction": 2},
        {"positions": "relative"},
        {"decoder_blocks": 1, "residual": False},
        {"encoder": "convolution"},
    ],
    ids=str,
)
def test_a_pruned_model_computes_what_a_masked_one_does(settings: Dict[str, Any]) -> None:
    whole = shuffle_scales(make_model(**settings))
    pruned = prune(whole, 0.5)
    for cut in find_cuts(whole, 0.5):
        weight = whole.get_parameter(cut.read_by)
        mask = torch.zeros(weight.shape[1], dtype=torch.bool)
        mask[cut.kept] = True
        assert int(mask.sum()) == len(mask) // 2
        weight.data[:, ~mask] = 0
    assert pruned.parameter_count() < whole.parameter_count()
    features, lengths = torch.randn(2, 61, 20), torch.tensor([61, 40])
    expected, frames = whole(features, lengths)
    found, _ = pruned(features, lengths)
    for row, count in enumerate(frames.tolist()):
        torch.testing.assert_close(found[row, :count], expected[row, :count], atol=1e-5, rtol=0)


def test_channels_with_the_largest_scales_are_kept() -> None:
    model = make_model()
    norm = model.front.layer1[0].bn1
    norm.weight.data = torch.tensor([0.9, 0.1, -0.2, 0.7])
    pruned = prune(model, 0.5).front.layer1[0]
    assert pruned.bn1.weight.tolist() == pytest.approx([0.9, 0.7])
    assert torch.equal(pruned.conv1.weight, model.front.layer1[0].conv1.weight[[0, 3]])


def test_everything_kept_is_the_same_model_and_it_can_be_pruned_twice() -> None:
    model = shuffle_scales(make_model())
    features, lengths = torch.randn(1, 40, 20), torch.tensor([40])
    assert torch.equal(prune(model, 1.0)(features, lengths)[0], model(features, lengths)[0])
    twice = prune(prune(model, 0.5), 0.5)
    assert twice.config.inner_channels == (1, 2) and twice.config.encoder_heads == 1


@pytest.mark.parametrize("keep", [0.0, 1.5, float("nan")])
def test_an_impossible_share_is_refused(keep: float) -> None:
    with pytest.raises(UserError, match="keep is"):
        prune(make_model(), keep)

from typing import List

import msgspec
import pytest
import torch

from asrkit.config import TrainConfig
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel, score_sequences
from asrkit.train.loss import decoder_loss
from asrkit.train.optimizer import make_optimizer
from tests.model.test_acoustic import SMALL

HYPOTHESES: List[List[List[int]]] = [[[1, 2, 3, 3, 5], [4], []], [], [[6, 6], [1, 2, 3, 3, 5]]]
LENGTHS = (61, 37, 16)


def make_model() -> AcousticModel:
    torch.manual_seed(0)
    return AcousticModel(msgspec.structs.replace(SMALL, decoder_blocks=2), bins=20, units=7).eval()


def test_scores_follow_the_chain_rule() -> None:
    """Each unit is scored from its own prefix, so later units and padding can't have an influence."""
    model, features = make_model(), torch.randn(3, max(LENGTHS), 20)
    encoded, log_probs, frames = model.encode(features, torch.tensor(LENGTHS))
    assert torch.equal(log_probs, model(features, torch.tensor(LENGTHS))[0])
    together = score_sequences(model, encoded, frames, HYPOTHESES)
    assert [len(row) for row in together] == [3, 0, 2]
    assert model.decoder is not None
    for row, scores in enumerate(together):
        length = LENGTHS[row]
        alone, _, count = model.encode(features[row : row + 1, :length], torch.tensor([length]))
        for units, score in zip(HYPOTHESES[row], scores):
            expected = 0.0
            for position, unit in enumerate([*units, model.decoder.boundary]):
                prefix = torch.tensor([[model.decoder.boundary, *units[:position]]])
                expected += float(model.decoder(prefix, alone, count)[0, -1, unit])
            assert score == pytest.approx(expected, abs=1e-4)


def test_loss_is_the_negative_score_with_label_smoothing() -> None:
    model = make_model()
    encoded, _, frames = model.encode(torch.randn(2, 40, 20), torch.tensor([40, 30]))
    targets = [[1, 2, 3], [4]]
    scores = score_sequences(model, encoded, frames, [[target] for target in targets])
    assert model.decoder is not None
    exact = decoder_loss(model.decoder, encoded, frames, targets)
    assert float(exact) == pytest.approx(-sum(map(sum, scores)), rel=1e-5)
    log_probs, _, inside = model.decoder.predict(targets, encoded, frames)
    mean = -log_probs[inside][:, 1:].mean(dim=-1).sum()
    torch.testing.assert_close(
        decoder_loss(model.decoder, encoded, frames, targets, 0.25), 0.75 * exact + 0.25 * mean
    )


def test_scoring_without_a_decoder_is_refused() -> None:
    model = AcousticModel(SMALL, bins=20, units=7).eval()
    encoded, _, frames = model.encode(torch.randn(1, 40, 20), torch.tensor([40]))
    with pytest.raises(UserError, match="no attention decoder") as caught:
        score_sequences(model, encoded, frames, [[[1]]])
    assert "model.decoder_blocks" in caught.value.todo


def test_muon_splits_stacked_matrices_of_the_decoder_and_skips_its_ends() -> None:
    model = make_model()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    taken = {
        names[id(p)]: group["matrices"]
        for group in make_optimizer(model, TrainConfig()).param_groups
        for p in group["params"]
    }
    kinds = ("attention.query_key_value", "cross_attention.key_value", "cross_attention.query", "expand")
    assert [taken[f"decoder.blocks.1.{kind}.weight"] for kind in kinds] == [3, 2, 1, 1]
    assert taken["decoder.embedding.weight"] == taken["decoder.output.weight"] == 0

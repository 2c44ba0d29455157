"""The transducer: its loss without pruning, and its greedy search."""

from typing import List

import msgspec
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from asrkit.model.acoustic import AcousticModel
from asrkit.model.description import describe_model
from asrkit.model.transducer import Transducer, greedy_transducer
from asrkit.train.loss import PRUNE_RANGE, SIMPLE_WEIGHT, transducer_loss
from tests.train.tiny import MODEL

UNITS = 4
CONFIG = msgspec.structs.replace(MODEL, transducer=True)


def make_transducer() -> Transducer:
    torch.manual_seed(0)
    return Transducer(CONFIG, UNITS)


def whole_logits(transducer: Transducer, encoded: Tensor, target: List[int]) -> Tensor:
    """The joiner at every frame and place of a target: (1, frame, token + 1, unit)."""
    states = transducer.predictor(transducer.predict(torch.tensor([[0, 0, *target]])))
    return transducer.join(transducer.encoder(encoded)[:, :, None], states[:, None])


@pytest.mark.k2
def test_the_pruned_loss_of_short_targets_is_the_whole_one() -> None:
    k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
    transducer, targets, frames = make_transducer(), [[1, 2, 2, 3], [3, 1]], torch.tensor([9, 5])
    assert max(map(len, targets)) < PRUNE_RANGE
    encoded = torch.randn(2, 9, CONFIG.attention_dim, requires_grad=True)
    weights = [encoded, *transducer.output.parameters(), *transducer.context.parameters()]
    loss = transducer_loss(transducer, encoded, frames, targets)
    simple = torch.zeros(())
    whole = torch.zeros(())
    for row, target in enumerate(targets):
        inside = encoded[row : row + 1, : frames[row]]
        symbols = torch.tensor([target])
        logits = whole_logits(transducer, inside, target)
        whole = whole + k2.rnnt_loss(logits, symbols, 0, rnnt_type="modified", reduction="sum")
        predicted = transducer.predict(torch.tensor([[0, 0, *target]]))
        am, lm = transducer.simple_encoder(inside), transducer.simple_predictor(predicted)
        simple = simple + k2.rnnt_loss_smoothed(lm, am, symbols, 0, 0.25, 0.0, None, "modified", 0.0, "sum")
    expected = whole + SIMPLE_WEIGHT * simple
    torch.testing.assert_close(loss, expected, atol=1e-4, rtol=1e-5)
    for found, other in zip(torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights)):
        torch.testing.assert_close(found, other, atol=1e-4, rtol=1e-4)


@pytest.mark.k2
def test_the_loss_sums_the_paths_of_at_most_one_unit_per_frame() -> None:
    pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
    transducer = make_transducer()
    encoded = torch.randn(1, 2, CONFIG.attention_dim)
    scores = F.log_softmax(whole_logits(transducer, encoded, [2]), dim=-1)[0]  # (frame, units before, unit)
    paths = [scores[0, 0, 2] + scores[1, 1, 0], scores[0, 0, 0] + scores[1, 0, 2]]
    with torch.no_grad():
        for layer in (transducer.simple_encoder, transducer.simple_predictor):
            for parameter in layer.parameters():
                parameter.zero_()  # the simple models are uniform: two paths of two probabilities each
        loss = transducer_loss(transducer, encoded, torch.tensor([2]), [[2]])
    simple = -torch.tensor(2 / UNITS**2).log()
    expected = -torch.stack(paths).logsumexp(dim=0) + SIMPLE_WEIGHT * simple
    assert float(loss) == pytest.approx(float(expected.detach()), abs=1e-4)


def test_greedy_search_of_a_batch_is_that_of_each_utterance() -> None:
    transducer = make_transducer()
    encoded, lengths = 3 * torch.randn(3, 12, CONFIG.attention_dim), [12, 7, 0]
    found = greedy_transducer(transducer, encoded, lengths)
    for row, length in enumerate(lengths):
        units: List[int] = []
        for frame in range(length):
            context = torch.tensor([[0, 0, *units][-2:]])
            best = int(transducer.log_probs(encoded[row, frame][None], context).argmax())
            units += [best] if best else []
        assert found[row] == units
    assert found[0] and found[1] and not found[2]


def test_its_parameters_are_described_and_those_of_other_models_keep_their_draws() -> None:
    torch.manual_seed(0)
    plain = AcousticModel(MODEL, bins=20, units=UNITS)
    torch.manual_seed(0)
    model = AcousticModel(CONFIG, bins=20, units=UNITS)
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name])
    parts = describe_model(model, frame_shift=0.01)
    assert [part.name for part in parts[-2:]] == ["predictor", "joiner"]
    assert sum(part.parameters for part in parts) == model.parameter_count()

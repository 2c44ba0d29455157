from pathlib import Path

import msgspec
import pytest
import torch

from asrkit.model.acoustic import AcousticModel, score_sequences
from asrkit.train.average import divide_by_priors, label_priors
from asrkit.train.evaluate import evaluate
from asrkit.train.examples import collate
from asrkit.train.loop import Training, run_training
from asrkit.train.optimizer import make_optimizer
from tests.train.tiny import CONFIG, MODEL, UNITS, make_examples


def test_an_attention_decoder_learns_beside_ctc_and_its_dev_loss_is_logged(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AcousticModel(msgspec.structs.replace(MODEL, decoder_blocks=1), bins=20, units=3)
    train, dev = make_examples(24, 0), make_examples(4, 1)
    log = run_training(Training(model, make_optimizer(model, CONFIG), CONFIG, UNITS, train, dev, tmp_path))
    assert log[-1]["decoder_loss"] < log[0]["decoder_loss"] and log[-1]["train_loss"] < log[0]["train_loss"]

    encoded, _, frames = model.eval().encode(*collate(dev))
    scores = score_sequences(model, encoded, frames, [[example.target or []] for example in dev])
    tokens = sum(len(example.target or []) + 1 for example in dev)
    assert log[-1]["decoder_loss"] == pytest.approx(-sum(map(sum, scores)) / tokens, rel=1e-4)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_decoder_weight_interpolates_ctc_and_decoder_loss(tmp_path: Path, weight: float) -> None:
    torch.manual_seed(0)
    model = AcousticModel(msgspec.structs.replace(MODEL, decoder_blocks=1), bins=20, units=3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config = msgspec.structs.replace(CONFIG, decoder_weight=weight, weight_decay=0.0, epochs=1)
    examples = make_examples(6, 0)
    run_training(Training(model, make_optimizer(model, config), config, UNITS, examples, examples, tmp_path))
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert ("output.bias" in moved) == (weight < 1)
    assert ("decoder.output.bias" in moved) == (weight > 0)
    assert "front.conv1.weight" in moved


def test_no_decoder_loss_without_a_decoder() -> None:
    torch.manual_seed(0)
    model = AcousticModel(MODEL, bins=20, units=3)
    assert set(evaluate(model, make_examples(3, 0), UNITS, 2.0)) == {"errors", "words", "loss"}


def test_posteriors_are_divided_by_their_mean_and_normalised_again() -> None:
    torch.manual_seed(0)
    model = AcousticModel(MODEL, bins=20, units=3).eval()
    examples = make_examples(4, 0)
    batch = collate(examples)
    before, frames = model(*batch)
    posteriors = torch.cat([row[:count].exp() for row, count in zip(before, frames.tolist())])
    priors, count = label_priors(model, examples, 2.0)
    assert count == len(posteriors)
    divide_by_priors(model, priors, 0.5)
    divided = posteriors / posteriors.mean(dim=0).sqrt()
    after = torch.cat([row[:count].exp() for row, count in zip(model(*batch)[0], frames.tolist())])
    torch.testing.assert_close(after, divided / divided.sum(dim=1, keepdim=True))

"""If a neural language model diverged, stage lm raised OverflowError or wrote a model of NaN, with which
rescoring chose the first hypothesis of each n-best list."""

from pathlib import Path
from typing import Literal

import pytest
import torch

from asrkit.config import NeuralLmConfig
from asrkit.errors import UserError
from asrkit.lm.neural import load_neural, scorer_of, train_neural

TEXT = ["a b c d", "b a d c e", "e d c b a"] * 10


@pytest.mark.parametrize("rate", [1e10, 1e30])  # a perplexity that overflows, and NaN
@pytest.mark.parametrize(
    ("kind", "dev"),
    [
        ("lstm", "a b"),
        ("residual", "a b"),
        ("masked", "a b"),
        ("masked", "z"),  # without in-vocabulary words the perplexity on dev is 1
    ],
)
def test_training_ends_with_the_learning_rate_to_set(
    tmp_path: Path, kind: Literal["lstm", "residual", "masked"], dev: str, rate: float
) -> None:
    file = tmp_path / "second_neural.safetensors"
    config = NeuralLmConfig(kind=kind, layers=1, dim=16, heads=2, epochs=2, learning_rate=rate)
    with pytest.raises(UserError, match="the neural language model diverged") as refusal:
        train_neural(config, TEXT, [dev], file)
    assert refusal.value.todo == "--set lm.second_neural.learning_rate=0.003"
    assert not any(tmp_path.iterdir())


def test_scores_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "neural.safetensors"
    train_neural(NeuralLmConfig(layers=1, dim=8, epochs=1), TEXT, ["a b"], file)
    model = load_neural(file)
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    with pytest.raises(UserError, match=r"the score of 'a b' is not finite") as refusal:
        scorer_of(model, where=str(file))([["a", "b"]])
    assert refusal.value.where == str(file)

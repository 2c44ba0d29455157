"""Limit values that no training works with, such as model.dropout=1, were accepted and failed later."""

import pytest

from asrkit.config import load_config
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY

RECIPE = REPOSITORY / "recipes" / "an4" / "recipe.yaml"
BEYOND = (
    *("model.dropout=1", "model.dropout=0.999", "model.stochastic_depth=1", "lm.neural.dropout=1"),
    *("synthesis.dropout=1", "train.ema_decay=1", "train.decoder_weight=1", "train.intermediate_weight=1"),
    *("train.label_smoothing=1", "train.seed=-1", "train.seed=20261129123456", "synthesis.seed=-1"),
)
ALLOWED = (
    *("model.dropout=0.99", "model.stochastic_depth=0.99", "train.ema_decay=0.9999"),
    *("train.intermediate_weight=0.9", "train.seed=0", "train.seed=20261129"),
)


@pytest.mark.parametrize("setting", BEYOND)
def test_they_are_refused_when_the_recipe_is_read(setting: str) -> None:
    key = setting.partition("=")[0]
    with pytest.raises(UserError, match=f"^{key}: Expected") as caught:
        load_config(RECIPE, None, [setting])
    assert caught.value.todo == f"correct {key}"


@pytest.mark.parametrize("setting", ALLOWED)
def test_values_within_the_limits_are_accepted(setting: str) -> None:
    load_config(RECIPE, None, [setting])


def test_the_largest_seed_and_dropout_can_be_used() -> None:
    import torch

    from asrkit.model.attention import Dropout

    torch.Generator().manual_seed((2**32 - 1) * 7_000_003 + 10**9)
    assert torch.isfinite(Dropout(0.99)(torch.ones(1000))).all()

"""Filters of any order were accepted: a low pass of order 300 made samples 39,000 times louder."""

import numpy as np
import pytest

from asrkit.config import load_config
from asrkit.config.recipe import LowPassConfig
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.signal.steps import apply_steps

RECIPE = REPOSITORY / "recipes" / "an4" / "recipe.yaml"


@pytest.mark.parametrize("kind", ["low_pass", "high_pass"])
def test_they_are_refused_when_the_recipe_is_read(kind: str) -> None:
    load_config(RECIPE, None, [f"signal.steps=[{{kind: {kind}, order: 40}}]"])
    with pytest.raises(UserError, match="Expected `int` <= 40"):
        load_config(RECIPE, None, [f"signal.steps=[{{kind: {kind}, order: 41}}]"])


@pytest.mark.parametrize("rate", [8000, 16000, 22050])
def test_the_highest_order_is_stable(rate: int) -> None:
    pytest.importorskip("scipy", reason="extra [signal]")
    samples = np.random.default_rng(0).normal(0, 0.1, rate).astype(np.float32)
    filtered = apply_steps(samples, rate, [LowPassConfig(hertz=3500.0, order=40)])
    assert np.abs(filtered).max() < 2 * np.abs(samples).max()

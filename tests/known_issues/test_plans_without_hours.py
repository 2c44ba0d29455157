"""asrkit plan refused AN4, yesno and the demo: their expect.json had no hours."""

import pytest

from asrkit.config import load_config
from asrkit.onboarding.estimate import _published_hours, _short
from asrkit.pipeline.experiment import REPOSITORY


@pytest.mark.parametrize("name", ["aishell", "an4", "demo", "librispeech", "yesno"])
def test_each_recipe_has_hours(name: str) -> None:
    recipe = REPOSITORY / "recipes" / name
    config = load_config(recipe / "recipe.yaml")
    hours = _published_hours(config, recipe / "expect.json")
    assert {config.corpus.train, *config.corpus.tests} <= hours.keys()
    assert min(hours.values()) > 0
    assert ("dev" in hours) == (not config.corpus.dev_speakers)  # these are in train


def test_a_few_minutes_are_not_rounded_to_none() -> None:
    assert [_short(hours) for hours in (0.041, 0.595, 1.16, 2128.3)] == ["0.04", "0.6", "1.2", "2,128.3"]

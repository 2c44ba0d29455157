"""If the package for score.normalise: [digits] was missing, only the last stage failed, after training."""

import importlib.util
from typing import Any, Optional

import pytest

from asrkit.config import load_config
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.stages.score import check


@pytest.mark.parametrize(("words", "package"), [("spaced", "text_to_num"), ("characters", "cn2an")])
def test_it_is_reported_before_any_stage_runs(
    monkeypatch: pytest.MonkeyPatch, words: str, package: str
) -> None:
    def find_spec(name: str) -> Optional[Any]:
        return None if name == package else before(name)

    before = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    recipe = REPOSITORY / "recipes" / "yesno" / "recipe.yaml"
    check(load_config(recipe, None, [f"corpus.words={words}"]))
    config = load_config(recipe, None, [f"corpus.words={words}", "score.normalise=[lower, digits]"])
    with pytest.raises(UserError, match=f"the package {package} is missing") as refusal:
        check(config)
    assert refusal.value.where == "score.normalise" and "[use]" in refusal.value.todo

"""`asrkit new-recipe --set augment=[]` and `--set name=...` wrote a recipe.yaml that no run accepted."""

from pathlib import Path
from typing import Tuple

import pytest

from asrkit.config import load_config
from asrkit.config.recipe import kind_of
from asrkit.onboarding.new_recipe import _given_settings
from asrkit.onboarding.recipe_folder import settings_text
from asrkit.onboarding.suggestion import Suggestion


@pytest.mark.parametrize(
    ("assignments", "kinds"),
    [
        (("name=other", "augment=[]"), ()),
        (("augment.hiss.probability=0.3",), ("spec_augment", "hiss")),
        (("augment=[{kind: vtlp}]", "augment.hum={}"), ("vtlp", "hum")),
    ],
)
def test_a_new_recipe_has_the_given_name_and_transforms(
    tmp_path: Path, assignments: Tuple[str, ...], kinds: Tuple[str, ...]
) -> None:
    settings = [*_given_settings("small", assignments, []), Suggestion("corpus.module", "tsv", "a table")]
    settings += [Suggestion("model", None, "a comment"), Suggestion("model.dropout", 0.2)]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(settings_text("small", settings))
    config = load_config(recipe)
    assert config.name == ("other" if "name=other" in assignments else "small")
    assert set(map(kind_of, config.augment)) == set(kinds)
    assert (config.corpus.module, config.model.dropout) == ("tsv", 0.2)
    assert "model: # a comment\n" in recipe.read_text()

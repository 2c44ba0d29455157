"""A second section or key of the same name in recipe.yaml replaced the first one without a word."""

from pathlib import Path

import pytest

from asrkit.config import load_config
from asrkit.errors import UserError

PLAIN = "name: toy\ncorpus: {module: tsv}\n"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("train: {epochs: 3}\nlm: {order: 2}\ntrain: {seed: 4}\n", "train"),
        ("train:\n  epochs: 3\n  epochs: 5\n", "epochs"),
        ("augment: [{kind: vtlp, kind: hiss}]\n", "kind"),
    ],
)
def test_a_key_given_twice_is_refused(tmp_path: Path, text: str, key: str) -> None:
    recipe, overlay = tmp_path / "recipe.yaml", tmp_path / "overlay.yaml"
    recipe.write_text(PLAIN + text)
    with pytest.raises(UserError, match=f"{key} is given twice"):
        load_config(recipe)
    recipe.write_text(PLAIN)
    overlay.write_text(text)
    with pytest.raises(UserError, match=f"{key} is given twice"):
        load_config(recipe, overlay)


def test_a_merged_key_may_be_given_again(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        PLAIN + "lm:\n  neural: &first {<<: {layers: 1, dim: 64}, layers: 2}\n"
        "  second_neural: {<<: *first, <<: {epochs: 2}, dim: 32}\n"
    )
    lm = load_config(recipe).lm
    assert (lm.neural.layers, lm.neural.dim) == (2, 64)
    assert (lm.second_neural.layers, lm.second_neural.dim, lm.second_neural.epochs) == (2, 32, 2)

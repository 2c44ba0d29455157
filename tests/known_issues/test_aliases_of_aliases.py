"""Aliases of aliases in recipe.yaml took all memory; an alias inside its own anchor gave a traceback."""

from pathlib import Path

import pytest

from asrkit.config import load_config
from asrkit.errors import UserError

PLAIN = "name: toy\ncorpus: {module: tsv}\n"
LAUGHS = "".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12))
HOSTILE = {
    "lists": f"{PLAIN}a0: &a0 [lol]\n{LAUGHS}",
    "merge keys": f"{PLAIN}train: &t0 {{epochs: 1}}\n"
    + "".join(f"x{n}: &t{n} {{<<: [{', '.join([f'*t{n - 1}'] * 9)}]}}\n" for n in range(1, 9)),
    "circle": f"{PLAIN}train: &t {{epochs: *t}}\n",
    "merged circle": f"{PLAIN}train: &t\n  <<: *t\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_aliases_that_multiply_or_go_in_a_circle_are_refused(tmp_path: Path, name: str) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(HOSTILE[name])
    with pytest.raises(UserError, match=r"more than 20 aliases \(\*NAME\), or one inside its own anchor"):
        load_config(recipe)
    recipe.write_text(PLAIN)
    with pytest.raises(UserError):
        load_config(recipe, assignments=["train.epochs=&a [*a]"])


def test_a_few_aliases_and_a_merge_key_are_read(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: toy\ncorpus: {module: tsv}\ntrain: {epochs: &n 7, warmup_steps: *n}\n"
        "decode: {<<: {nbest_paths: 1}, shard_utterances: *n}\n"
    )
    config = load_config(recipe)
    assert (config.train.warmup_steps, config.decode.shard_utterances, config.decode.nbest_paths) == (7, 7, 1)

"""A grammar named grammar.yml was read as plain text, so its keys and rules became sentences of lm.text."""

from pathlib import Path

from asrkit.config import CorpusConfig, load_config
from asrkit.text.extra_text import read_extra_text
from tests.recipes.miniature import PROJECT

GRAMMAR = PROJECT / "recipes" / "demo" / "grammar.yaml"


def test_a_grammar_may_be_named_yml(tmp_path: Path) -> None:
    file = tmp_path / "grammar.yml"
    file.write_bytes(GRAMMAR.read_bytes())
    corpus = CorpusConfig(module="demo")
    assert list(read_extra_text(file, corpus, 20)) == list(read_extra_text(GRAMMAR, corpus, 20))
    recipe = PROJECT / "recipes" / "yesno" / "recipe.yaml"
    load_config(recipe, None, ["lm.text=grammar.yml", "lm.text_sentences=9"])  # isn't refused

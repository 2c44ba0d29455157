"""Sentences drawn from a grammar, and faults of grammars."""

import collections
import random
from pathlib import Path

import pytest

from asrkit.config.recipe import CorpusConfig
from asrkit.errors import UserError
from asrkit.text.extra_text import read_extra_text
from asrkit.text.grammar import Grammar, Kind, draw_sentence, draw_sentences, read_grammar

REPOSITORY = Path(__file__).resolve().parents[2]


def grammar_of(weight: float = 1) -> Grammar:
    kinds = {"spelled": Kind(weight=weight, sentences=("spell {name:spelled}",))}
    kinds["other"] = Kind(weight=1, sentences=("go  {empty} there",))
    return Grammar(kinds=kinds, rules={"name": ("max",), "empty": ("",)})


def test_spelled_rules_give_letters_and_spaces_are_single() -> None:
    assert set(draw_sentences(grammar_of(), 20)) == {"spell m a x", "go there"}


def test_kinds_are_drawn_by_weight() -> None:
    counts = collections.Counter(draw_sentences(grammar_of(weight=3), 4000))
    assert counts["spell m a x"] == pytest.approx(3000, abs=120)


def test_drawing_is_deterministic_and_larger_counts_begin_the_same() -> None:
    grammar = read_grammar(REPOSITORY / "recipes" / "demo" / "grammar.yaml")
    few, more = draw_sentences(grammar, 5), draw_sentences(grammar, 50)
    assert more[:5] == few
    assert len(set(more)) > 45
    assert draw_sentence(grammar, random.Random(1)) == few[0]


def test_drawn_text_has_the_corpus_letter_case_and_the_set_number_of_sentences(tmp_path: Path) -> None:
    file = tmp_path / "grammar.yaml"
    file.write_text("kinds: {one: {weight: 2.5, sentences: [say  it]}}\n")
    assert list(read_extra_text(file, CorpusConfig(module="x", case="upper"), 3)) == ["SAY IT"] * 3
    assert len(list(read_extra_text(file, CorpusConfig(module="x")))) == 5000


KINDS = "kinds: {one: {weight: 1, sentences: ['{digit}']}}\n"


@pytest.mark.parametrize(
    ("text", "found", "where"),
    [
        ("kinds: [", "not YAML", "grammar.yaml"),
        ("- a\n", "found a list", "grammar.yaml"),
        ("rules: {}\n", "missing required field `kinds`", "grammar.yaml"),
        ("kinds: {}\n", "length >= 1", "kinds"),
        ("kinds: {one: {weight: 0, sentences: [a]}}\n", "> 0", "weight"),
        ("kinds: {one: {weight: 1, sentences: []}}\n", "length >= 1", "sentences"),
        ("kinds: {one: {weight: 1, sentences: a}}\n", "Expected `array`, got `str`", "sentences"),
        ("kinds: {one: {weight: 1, sentence: [a]}}\n", "unknown field `sentence`", "kinds"),
        (KINDS + "rules: {digit: [on]}\n", "Expected `str`, got `bool`", "rules"),
        (KINDS, "no rule digit", "kinds.one"),
        (KINDS + "rules: {digit: ['{ten}']}\n", "no rule ten", "rules.digit"),
        (KINDS + "rules: {digit: ['{digit']}\n", "a brace out of place", "rules.digit"),
        (KINDS + "rules: {digit: [one, '{digit} one']}\n", "leads back to itself: digit > digit", "rules"),
        (KINDS + "rules: {digit: ['{a}'], a: ['{b}'], b: [x, '{a}']}\n", "to itself: a > b > a", "rules"),
    ],
)
def test_faults_of_a_grammar_are_reported_with_their_place(
    tmp_path: Path, text: str, found: str, where: str
) -> None:
    file = tmp_path / "grammar.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_grammar(file)
    assert found in caught.value.found
    assert where in caught.value.where
    assert caught.value.todo


def test_a_missing_grammar_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"can't read .*grammar\.yaml: No such file"):
        read_grammar(tmp_path / "grammar.yaml")


def test_the_recipes_grammars_are_sound() -> None:
    for file in sorted(REPOSITORY.glob("recipes/*/grammar.yaml")):
        assert draw_sentences(read_grammar(file), 10)

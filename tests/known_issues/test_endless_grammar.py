"""A grammar of nine rules, each of nine of the next, was drawn from for ever."""

from pathlib import Path
from typing import List

import pytest

from asrkit.config.recipe import CorpusConfig
from asrkit.errors import UserError
from asrkit.text.extra_text import read_extra_text
from asrkit.text.grammar import LONGEST


def rules(times: int, depth: int, last: str = "a", spelled: str = "") -> List[str]:
    """Rules, each of which names the next one several times."""
    named = [f"  r{level}: ['{f'{{r{level + 1}{spelled}}}' * times}']" for level in range(depth)]
    return [*named, f"  r{depth}: ['{last}']"]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (rules(9, 9), "characters"),
        (rules(2, 60), "characters"),
        (rules(9, 9, last=""), "characters"),  # nothing, after as many steps
        (rules(1, 30, last="word", spelled=":spelled"), "characters"),
        (rules(1, 2000), "2,002 deep"),
        (rules(2, 2000), "2,002 deep"),
        (rules(1, 0, last="x" * (LONGEST + 1)), "characters"),
        (["  r0: [[" + "[" * 2000], "not YAML"),
    ],
)
def test_sentences_that_can_not_be_drawn_are_refused(tmp_path: Path, lines: List[str], found: str) -> None:
    kinds = ["kinds:", "  a: {weight: 1, sentences: [b, 'c {r0}']}", "rules:"]
    (tmp_path / "grammar.yaml").write_text("\n".join([*kinds, *lines]))
    with pytest.raises(UserError, match=found) as refusal:
        list(read_extra_text(tmp_path / "grammar.yaml", CorpusConfig(module="x"), 10))
    assert "grammar.yaml" in refusal.value.where


def test_long_sentences_and_deep_rules_below_the_limits_are_drawn(tmp_path: Path) -> None:
    kinds = "kinds:\n  a: {weight: 1, sentences: ['{r0}']}\nrules:\n"
    for lines, length in ((rules(2, 10), 1024), (rules(1, 90), 1)):
        (tmp_path / "grammar.yaml").write_text(kinds + "\n".join(lines))
        drawn = read_extra_text(tmp_path / "grammar.yaml", CorpusConfig(module="x"), 1)
        assert list(drawn) == ["a" * length]


@pytest.mark.parametrize("weight", [".inf", "1.0e308"])
def test_weights_without_a_sum_are_refused(tmp_path: Path, weight: str) -> None:
    kind = f"{{weight: {weight}, sentences: [a]}}"
    (tmp_path / "grammar.yaml").write_text(f"kinds: {{a: {kind}, b: {kind}}}\n")
    with pytest.raises(UserError, match="<= 1000000000"):
        list(read_extra_text(tmp_path / "grammar.yaml", CorpusConfig(module="x"), 1))

"""A grammar of sentences, and sentences drawn from it."""

import graphlib
import random
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Dict, List, Tuple

import msgspec

from asrkit.config.load import read_yaml
from asrkit.config.recipe import PositiveReal
from asrkit.corpus.text import characters
from asrkit.errors import UserError

SEED = 1  # of what draw_sentences draws
_RULE = re.compile(r"\{(\w+)(:spelled)?\}")
_Alternatives = Annotated[Tuple[str, ...], msgspec.Meta(min_length=1)]


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sentences of one kind, each as probable as the others."""

    weight: PositiveReal  # kinds are drawn in proportion to it
    sentences: _Alternatives


class Grammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sentences in which `{rule}` stands for an alternative of the rule, `{rule:spelled}` for its letters."""

    kinds: Annotated[Dict[str, Kind], msgspec.Meta(min_length=1)]
    rules: Dict[str, _Alternatives] = {}


def read_grammar(file: Path) -> Grammar:
    """Read a grammar from YAML.

    Raises UserError for a file that can't be read, a wrong key or type, a rule that isn't there,
    and one that leads back to itself.
    """
    try:
        grammar = msgspec.convert(read_yaml(file, "kinds and rules"), Grammar)
    except msgspec.ValidationError as error:
        found, _, place = str(error).partition(" - at `$.")
        raise UserError(
            found,
            expected="kinds with weight and sentences, rules with alternatives",
            where=f"{file}, {place.rstrip('`')}" if place else str(file),
            todo='correct the grammar; quote words such as "on", which YAML takes for something else',
        ) from None
    _refuse_wrong_rules(grammar, file)
    return grammar


def draw_sentence(grammar: Grammar, generator: random.Random) -> str:
    """One sentence, its kind drawn by weight and every alternative evenly; words are parted by one space."""
    kinds = list(grammar.kinds.values())
    kind = generator.choices(kinds, weights=[kind.weight for kind in kinds])[0]

    def expand(text: str) -> str:
        return _RULE.sub(alternative, text)

    def alternative(match: "re.Match[str]") -> str:
        chosen = expand(generator.choice(grammar.rules[match.group(1)]))
        return " ".join(characters(unicodedata.normalize("NFC", chosen))) if match.group(2) else chosen

    return " ".join(expand(generator.choice(kind.sentences)).split())


def draw_sentences(grammar: Grammar, count: int) -> List[str]:
    """The same `count` sentences each time, and the first of those that a larger count gives."""
    generator = random.Random(SEED)
    return [draw_sentence(grammar, generator) for _ in range(count)]


def _refuse_wrong_rules(grammar: Grammar, file: Path) -> None:
    texts = {f"kinds.{name}": kind.sentences for name, kind in grammar.kinds.items()}
    texts.update({f"rules.{name}": alternatives for name, alternatives in grammar.rules.items()})
    for place, alternatives in texts.items():
        for text in alternatives:
            unknown = [name for name, _ in _RULE.findall(text) if name not in grammar.rules]
            if unknown or re.search("[{}]", _RULE.sub("", text)):
                raise UserError(
                    f"no rule {unknown[0]}" if unknown else f"a brace out of place in {text!r}",
                    expected=f"{{rule}} or {{rule:spelled}} of {', '.join(grammar.rules) or 'no rules'}",
                    where=f"{file}, {place}",
                    todo="add the rule, or correct its name",
                )
    named = {
        name: {other for text in alternatives for other, _ in _RULE.findall(text)}
        for name, alternatives in grammar.rules.items()
    }
    try:
        graphlib.TopologicalSorter(named).prepare()
    except graphlib.CycleError as error:
        raise UserError(
            f"a rule that leads back to itself: {' > '.join(reversed(error.args[1]))}",
            expected="rules of which each alternative ends",
            where=f"{file}, rules.{error.args[1][0]}",
            todo="write the repetition out",
        ) from None

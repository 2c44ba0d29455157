"""A grammar of sentences, and sentences drawn from it."""

import graphlib
import math
import random
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Dict, Iterable, List, Sequence, Tuple

import msgspec

from asrkit.config.load import read_yaml
from asrkit.config.recipe import PositiveReal
from asrkit.corpus.text import characters
from asrkit.errors import UserError

SEED = 1  # of what draw_sentences draws
LONGEST = 10_000  # characters of a sentence
DEEPEST = 100  # rules one in another: each takes several of Python's calls
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
    one that leads back to itself, and sentences that are too long to be drawn.
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
    _refuse_long_sentences(grammar, _order_rules(grammar, file), file)
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


def _refuse_long_sentences(grammar: Grammar, rules: Iterable[str], file: Path) -> None:
    """Bound what drawing a sentence takes: it may double with every rule. `rules`: those named first."""
    sizes: Dict[str, int] = {}  # of the longest expansion: its characters, and a step for each rule in it
    depths: Dict[str, int] = {}

    def measure(alternatives: Sequence[str]) -> Tuple[int, int]:
        size = depth = 0
        for text in alternatives:
            named = _RULE.findall(text)
            parts = (sizes[rule] * (2 if spelled else 1) for rule, spelled in named)
            size = max(size, len(_RULE.sub("", text)) + sum(parts))
            depth = max([depth, *(depths[rule] for rule, _ in named)])
        return min(size + 1, 10**15), depth + 1

    for rule in rules:
        sizes[rule], depths[rule] = measure(grammar.rules[rule])
    for name, kind in grammar.kinds.items():
        size, depth = measure(kind.sentences)
        if size > LONGEST or depth > DEEPEST:
            raise UserError(
                f"sentences of up to {size:,} characters, of rules {depth:,} deep",
                expected=f"at most {LONGEST:,} characters, and {DEEPEST} rules one in another",
                where=f"{file}, kinds.{name}",
                todo="have alternatives name fewer rules",
            )
    if not math.isfinite(sum(kind.weight for kind in grammar.kinds.values())):
        raise UserError(
            "an infinite weight", expected="weights that have a sum", where=f"{file}, kinds", todo="lower it"
        )


def _order_rules(grammar: Grammar, file: Path) -> List[str]:
    """Rules, each behind those that it names; raises UserError for wrong names and for a circle of rules."""
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
        return list(graphlib.TopologicalSorter(named).static_order())
    except graphlib.CycleError as error:
        raise UserError(
            f"a rule that leads back to itself: {' > '.join(reversed(error.args[1]))}",
            expected="rules of which each alternative ends",
            where=f"{file}, rules.{error.args[1][0]}",
            todo="write the repetition out",
        ) from None

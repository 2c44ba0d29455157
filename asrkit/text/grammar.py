"""A grammar of sentences, and sentences drawn from it.

    kinds:
      date: {weight: 2, sentences: ["{month} {digit}"]}
      name: {weight: 1, sentences: ["enter {name:spelled}"]}
    rules:
      digit: [one, two]
      month: [may, june]
      name: [bob]

gives "may two", "june one" and, in a third of the sentences, "enter b o b".
"""

import graphlib
import random
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Dict, Iterable, List, Sequence, Tuple

import msgspec

from asrkit.config.load import read_yaml
from asrkit.corpus.text import characters
from asrkit.errors import UserError

SEED = 1  # of draw_sentences
LONGEST = 10_000  # characters per sentence
DEEPEST = 100  # nested rules: each takes several of Python's calls
_RULE = re.compile(r"\{(\w+)(:spelled)?\}")
_Alternatives = Annotated[Tuple[str, ...], msgspec.Meta(min_length=1)]


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sentences of one kind, equally probable."""

    weight: Annotated[float, msgspec.Meta(gt=0, le=1e9)]  # kinds are drawn in proportion; finite in sum
    sentences: _Alternatives


class Grammar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sentences in which `{rule}` stands for an alternative of the rule, `{rule:spelled}` for its letters."""

    kinds: Annotated[Dict[str, Kind], msgspec.Meta(min_length=1)]
    rules: Dict[str, _Alternatives] = {}


def read_grammar(file: Path) -> Grammar:
    """Read a grammar from YAML.

    Raises UserError for a file that can't be read, a wrong key or type, a rule that doesn't exist or leads
    back to itself, and sentences too long to draw.
    """
    try:
        grammar = msgspec.convert(read_yaml(file, "kinds and rules"), Grammar)
    except msgspec.ValidationError as error:
        found, _, place = str(error).partition(" - at `$.")
        where = f"{file}, {place.rstrip('`')}" if place else str(file)
        todo = 'fix the grammar; quote words that YAML reads as something else, such as "on"'
        raise UserError(found, "kinds with weight and sentences, rules with lists", where, todo) from None
    _refuse_long_sentences(grammar, _sort_rules(grammar, file), file)
    return grammar


def draw_sentence(grammar: Grammar, generator: random.Random) -> str:
    """One sentence: its kind is drawn by weight, alternatives are equally probable, spaces are single."""
    kinds = list(grammar.kinds.values())
    kind = generator.choices(kinds, weights=[kind.weight for kind in kinds])[0]

    def expand(text: str) -> str:
        return _RULE.sub(alternative, text)

    def alternative(match: "re.Match[str]") -> str:
        chosen = expand(generator.choice(grammar.rules[match.group(1)]))
        return " ".join(characters(unicodedata.normalize("NFC", chosen))) if match.group(2) else chosen

    return " ".join(expand(generator.choice(kind.sentences)).split())


def draw_sentences(grammar: Grammar, count: int) -> List[str]:
    """The same `count` sentences each time; a larger count begins with the same ones."""
    generator = random.Random(SEED)
    return [draw_sentence(grammar, generator) for _ in range(count)]


def _sort_rules(grammar: Grammar, file: Path) -> List[str]:
    """Rules, each after those that it names; raises UserError for wrong names and cycles."""
    texts = {f"kinds.{name}": kind.sentences for name, kind in grammar.kinds.items()}
    texts.update({f"rules.{name}": alternatives for name, alternatives in grammar.rules.items()})
    named: Dict[str, List[str]] = {}
    for place, alternatives in texts.items():
        names = [name for text in alternatives for name, _ in _RULE.findall(text)]
        faults = [f"no rule {name}" for name in names if name not in grammar.rules]
        broken = [text for text in alternatives if re.search("[{}]", _RULE.sub("", text))]
        faults += [f"a brace out of place in {text!r}" for text in broken]
        if faults:
            expected = f"{{rule}} or {{rule:spelled}} of {', '.join(grammar.rules) or 'no rules'}"
            raise UserError(faults[0], expected, f"{file}, {place}", "add the rule, or fix its name")
        if place.startswith("rules."):
            named[place[len("rules.") :]] = names
    try:
        return list(graphlib.TopologicalSorter(named).static_order())
    except graphlib.CycleError as error:
        found = f"a rule that leads back to itself: {' > '.join(reversed(error.args[1]))}"
        where, todo = f"{file}, rules.{error.args[1][0]}", "write the repetition out"
        raise UserError(found, "rules without recursion", where, todo) from None


def _refuse_long_sentences(grammar: Grammar, rules: Iterable[str], file: Path) -> None:
    """Bound the work of drawing a sentence, which may double with every rule; `rules` are sorted."""
    sizes: Dict[str, int] = {}  # of the longest expansion: its characters, and one step for each rule in it
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
            found = f"sentences of up to {size:,} characters, with rules {depth:,} deep"
            expected = f"at most {LONGEST:,} characters, and {DEEPEST} nested rules"
            raise UserError(found, expected, f"{file}, kinds.{name}", "use fewer rules in alternatives")

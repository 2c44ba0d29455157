"""Pronunciation lexicon: one or more sequences of units per word."""

import re
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from asrkit.config.recipe import CorpusConfig
from asrkit.config.symbols import BLANK_SYMBOL, END, EPSILON, START
from asrkit.corpus.audio import AudioProblem
from asrkit.corpus.text import WORD_START, check_word
from asrkit.corpus.transcripts import read_lines
from asrkit.errors import UserError
from asrkit.storage.files import write_text

LAYOUT = '"WORD unit unit ...", or on every line "WORD probability unit ..."'
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)  # nan is a syllable
OTHER_PRONUNCIATION = re.compile(r"(.+)\(\d+\)")  # READ(2) in CMUdict
RESERVED_UNITS = re.compile(rf"#\d+|{EPSILON}|{BLANK_SYMBOL}")
TODO = "fix units.lexicon in recipe.yaml, or the file"
Line = Tuple[int, List[str]]  # number and fields


class Pronunciation(NamedTuple):
    """One line of a lexicon."""

    word: str
    units: Tuple[str, ...]
    probability: float = 1.0  # among the word's pronunciations; they needn't sum to 1


def read_lexicon(file: Path, config: Optional[CorpusConfig] = None) -> List[Pronunciation]:
    """Read "WORD unit unit ..." lines, or Kaldi's "WORD probability unit ..." ones.

    A number in the second field is a probability. `config`: normalise the words of a user's lexicon, skip
    its comments, and read READ(2) as READ if that has a line too, as in CMUdict. A pronunciation given twice,
    as some are in CMUdict, counts once. Raises UserError with the line that is wrong.
    """
    lines = [(number, line.split()) for number, line in read_lines(file, f"a lexicon: lines {LAYOUT}", TODO)]
    if config is not None:
        lines = _without_comments(lines)
    if not lines:
        raise UserError("the lexicon is empty", f"lines {LAYOUT}", str(file), TODO)
    written = {fields[0] for _, fields in lines}
    weighed = _has_probability(lines[0][1])
    if weighed and _has_silence_probabilities(lines):
        found = "numbers after the probability on every line, as in Kaldi's lexiconp_silprob.txt"
        raise UserError(
            found, f"lines {LAYOUT}", str(file), "name lexiconp.txt or lexicon.txt of that folder"
        )
    entries: Dict[Tuple[str, Tuple[str, ...]], Pronunciation] = {}  # in the file's order
    for number, fields in lines:
        fault = _find_fault(fields, weighed)
        try:
            entry = Pronunciation(fields[0], tuple(fields[1 + weighed :]))
            if weighed and not fault:
                entry = entry._replace(probability=float(fields[1]))
            if config is not None and not fault:
                entry = _normalised(entry, written, config)
        except AudioProblem as problem:
            fault = (str(problem), "a word and its units", "rename it, or remove the line")
        if fault:
            raise UserError(fault[0], fault[1], f"{file}, line {number}", fault[2])
        entries[entry[:2]] = max(entry, entries.get(entry[:2], entry))  # of equal ones the more probable
    return list(entries.values())


def _has_probability(fields: Sequence[str]) -> bool:
    return NUMBER.fullmatch("".join(fields[1:2])) is not None


def _has_silence_probabilities(lines: Sequence[Line]) -> bool:
    """Whether each line has three more numbers before its units.

    Units may be named by numbers too, but not all without a decimal point.
    """
    numbers = [field for _, fields in lines for field in fields[2:5]]
    return (
        all(len(fields) > 5 for _, fields in lines)
        and all(map(NUMBER.fullmatch, numbers))
        and any("." in number for number in numbers)
    )


def _find_fault(fields: Sequence[str], weighed: bool) -> Optional[Tuple[str, str, str]]:
    """What was found, what was expected and what to do, or None; `weighed`: lines have probabilities."""
    word, is_weighed = fields[0], _has_probability(fields)
    if is_weighed != weighed:
        found = f"{word} has {'a' if is_weighed else 'no'} probability, unlike the lines above"
        return found, LAYOUT, "give every pronunciation a probability, or none"
    if weighed and not 0 < float(fields[1]) <= 1:
        todo = "fix it; if it is the name of a unit, write 1.0 before it, on every line"
        return f"{word} has probability {fields[1]}", "a number above 0 and up to 1 in the second field", todo
    if len(fields) == 1 + weighed:
        return f"word {word} has no units", LAYOUT, "add some, or remove it"
    return None


def _without_comments(lines: Iterable[Line]) -> List[Line]:
    """Lines without comments: what follows `;;;` at the beginning, or a `#` between blanks.

    A line that begins with `#` and more is a word such as #metoo if other lines have all its units.
    """
    kept = []
    for number, fields in lines:
        ends = [place for place, field in enumerate(fields) if not field.strip("#")]
        if not fields[0].startswith(";;;") and 0 not in ends:
            kept.append((number, fields[: min(ends, default=None)]))
    units = {unit for _, fields in kept if not fields[0].startswith("#") for unit in fields[1:]}
    return [
        (number, fields)
        for number, fields in kept
        if not fields[0].startswith("#")
        or (fields[1:] and units.issuperset(unit for unit in fields[1:] if not NUMBER.fullmatch(unit)))
    ]


def _normalised(entry: Pronunciation, written: Set[str], config: CorpusConfig) -> Pronunciation:
    """The entry with normalised word and units; raises AudioProblem for reserved and unusable ones."""
    as_is = CorpusConfig(module="", words=config.words)
    other = OTHER_PRONUNCIATION.fullmatch(entry.word)
    word = check_word(other[1] if other and other[1] in written else entry.word, config)
    # WORD_START may be a unit by itself, as in lexicons of BPE pieces
    units = [
        "".join(part if part in ("", WORD_START) else check_word(part, as_is) for part in parts)
        for parts in (re.split(f"(^{WORD_START})", unit) for unit in entry.units)
    ]
    if word in (EPSILON, START, END) or any(RESERVED_UNITS.fullmatch(unit) for unit in entry.units):
        raise AudioProblem("reserved symbol", f"{entry.word} {' '.join(entry.units)}")
    return Pronunciation(word, tuple(units), entry.probability)


def write_lexicon(file: Path, entries: Iterable[Pronunciation]) -> None:
    """Write "WORD unit unit ..." lines, with probabilities if any isn't 1 or a unit looks like one."""
    entries = list(entries)
    weighed = any(entry.probability != 1 or NUMBER.fullmatch(entry.units[0]) for entry in entries)
    rows = ((entry.word, *([str(entry.probability)] if weighed else []), *entry.units) for entry in entries)
    write_text(file, "".join(f"{' '.join(row)}\n" for row in rows))

"""Pronunciation lexicon: each word as one or more sequences of units."""

import re
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from asrkit.config.recipe import CorpusConfig
from asrkit.corpus.audio import AudioProblem
from asrkit.corpus.text import WORD_START, check_word
from asrkit.corpus.transcripts import read_lines
from asrkit.errors import UserError
from asrkit.storage.files import write_text

LAYOUT = '"WORD unit unit ...", or on every line "WORD probability unit ..."'
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)  # nan is a syllable
OTHER_PRONUNCIATION = re.compile(r"(.+)\(\d+\)")  # READ(2) in CMUdict
RESERVED = ("<eps>", "<s>", "</s>")  # of words.txt
RESERVED_UNITS = re.compile(r"#\d+|<eps>|<blk>")
TODO = "correct units.lexicon in recipe.yaml, or the file"
Line = Tuple[int, List[str]]  # its number, its fields


class Pronunciation(NamedTuple):
    """One line of a lexicon."""

    word: str
    units: Tuple[str, ...]
    probability: float = 1.0  # among the word's pronunciations; they needn't sum to 1


def read_lexicon(file: Path, config: Optional[CorpusConfig] = None) -> List[Pronunciation]:
    """Read "WORD unit unit ..." lines, or Kaldi's "WORD probability unit ..." ones.

    A number for a second field is a probability. With `config` it is a lexicon from elsewhere: words are
    normalised as texts are, comments left out, and READ(2) is READ where that has a line too, as in CMUdict.
    Raises UserError naming the line that is wrong.
    """
    lines = [(number, line.split()) for number, line in read_lines(file, f"a lexicon: lines {LAYOUT}", TODO)]
    if config is not None:
        lines = _without_comments(lines)
    written = {fields[0] for _, fields in lines}
    entries: Dict[Tuple[str, Tuple[str, ...]], Pronunciation] = {}  # in the order of the file
    spelled: Dict[Tuple[str, Tuple[str, ...]], str] = {}  # as it is in the file
    weighed = False
    for number, fields in lines:
        where = f"{file}, line {number}"
        is_weighed = NUMBER.fullmatch("".join(fields[1:2])) is not None
        if entries and is_weighed != weighed:
            raise UserError(
                f"{fields[0]} has {'a' if is_weighed else 'no'} probability, unlike the lines above",
                expected=LAYOUT,
                where=where,
                todo="give every pronunciation a probability, or none",
            )
        weighed = is_weighed
        entry = _read_entry(fields, weighed, where)
        if config is not None:
            entry = _as_in_texts(entry, written, config, where)
        if entry[:2] in entries and spelled[entry[:2]] == fields[0]:
            raise UserError(
                f"{fields[0]} is given twice with the same units",
                expected="each pronunciation once",
                where=where,
                todo="remove the line",
            )
        spelled[entry[:2]] = fields[0]
        entries[entry[:2]] = max(entry, entries.get(entry[:2], entry))  # of two spellings the more probable
    if not entries:
        raise UserError("the lexicon is empty", expected=f"lines {LAYOUT}", where=str(file), todo=TODO)
    return list(entries.values())


def _without_comments(lines: Iterable[Line]) -> List[Line]:
    """Lines without what is behind `;;;` at their beginning, or a `#` between blanks.

    A line that begins with `#` and more is a word such as #metoo where other lines have all its units.
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


def _as_in_texts(entry: Pronunciation, written: Set[str], config: CorpusConfig, where: str) -> Pronunciation:
    """Word and units normalised; raises UserError for one that stands for something else."""
    as_is = CorpusConfig(module="", words=config.words)
    other = OTHER_PRONUNCIATION.fullmatch(entry.word)
    try:
        word = check_word(other[1] if other and other[1] in written else entry.word, config)
        # The mark may be a unit by itself, as in lexicons of BPE pieces
        units = [
            "".join(part if part in ("", WORD_START) else check_word(part, as_is) for part in parts)
            for parts in (re.split(f"(^{WORD_START})", unit) for unit in entry.units)
        ]
    except AudioProblem as problem:
        raise UserError(
            str(problem), expected="a word and its units", where=where, todo="remove the line"
        ) from None
    if word in RESERVED or any(RESERVED_UNITS.fullmatch(unit) for unit in entry.units):
        raise UserError(
            f"reserved symbol in: {entry.word} {' '.join(entry.units)}",
            expected="no word <eps>, <s> or </s>, no unit <eps>, <blk> or #n",
            where=where,
            todo="rename it, or remove the line",
        )
    return Pronunciation(word, tuple(units), entry.probability)


def _read_entry(fields: Sequence[str], weighed: bool, where: str) -> Pronunciation:
    probability, units = (float(fields[1]), fields[2:]) if weighed else (1.0, fields[1:])
    if not 0 < probability <= 1:
        raise UserError(
            f"{fields[0]} has probability {fields[1]}",
            expected="one above 0 and up to 1: a second field that is a number is taken for it",
            where=where,
            todo="correct it; if it is a unit's name, write 1.0 before it, on every line",
        )
    if not units:
        raise UserError(
            f"word {fields[0]} has no units", expected=LAYOUT, where=where, todo="add some, or remove it"
        )
    return Pronunciation(fields[0], tuple(units), probability)


def write_lexicon(file: Path, entries: Iterable[Pronunciation]) -> None:
    """Write "WORD unit unit ..." lines, with probabilities where any isn't 1, or could be missed."""
    entries = list(entries)
    weighed = any(entry.probability != 1 or NUMBER.fullmatch(entry.units[0]) for entry in entries)
    rows = ((entry.word, *([str(entry.probability)] if weighed else []), *entry.units) for entry in entries)
    write_text(file, "".join(f"{' '.join(row)}\n" for row in rows))

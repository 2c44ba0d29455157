"""Pronunciation lexicon: each word as one or more sequences of units."""

import re
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Sequence, Tuple

from asrkit.errors import UserError
from asrkit.storage.files import write_text

LAYOUT = '"WORD unit unit ...", or on every line "WORD probability unit ..."'
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)  # nan is a syllable


class Pronunciation(NamedTuple):
    """One line of a lexicon."""

    word: str
    units: Tuple[str, ...]
    probability: float = 1.0  # among the word's pronunciations; they needn't sum to 1


def read_lexicon(file: Path) -> List[Pronunciation]:
    """Read "WORD unit unit ..." lines, or Kaldi's "WORD probability unit ..." ones.

    A number for a second field is a probability. Raises UserError naming the line that is wrong.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"can't read the lexicon: {error}",
            expected=f"lines {LAYOUT}",
            where=str(file),
            todo="correct units.lexicon in recipe.yaml, or the file",
        ) from None
    entries: Dict[Tuple[str, Tuple[str, ...]], Pronunciation] = {}  # in the order of the file
    weighed = False
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
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
        if any(field.startswith("#") or field in ("<eps>", "<blk>") for field in fields):
            raise UserError(
                f"reserved symbol in: {line.strip()}",
                expected="no <eps>, <blk> or #n",
                where=where,
                todo="rename it, or remove the line",
            )
        if entry[:2] in entries:
            raise UserError(
                f"{fields[0]} is given twice with the same units",
                expected="each pronunciation once",
                where=where,
                todo="remove the line",
            )
        entries[entry[:2]] = entry
    if not entries:
        raise UserError(
            "the lexicon is empty",
            expected=f"lines {LAYOUT}",
            where=str(file),
            todo="correct units.lexicon in recipe.yaml, or the file",
        )
    return list(entries.values())


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

"""Pronunciation lexicon: each word as one or more sequences of units."""

from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Tuple

from asrkit.errors import UserError
from asrkit.storage.files import write_text


class Pronunciation(NamedTuple):
    """One line of a lexicon."""

    word: str
    units: Tuple[str, ...]


def read_lexicon(file: Path) -> List[Pronunciation]:
    """Read "WORD unit unit ..." lines. Raises UserError naming the line that is wrong."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"can't read the lexicon: {error}", expected='lines "WORD unit unit ..."', where=str(file)
        ) from None
    entries: Dict[Pronunciation, None] = {}  # in the order of the file
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        where = f"{file}, line {number}"
        if len(fields) < 2:
            raise UserError(f"word {fields[0]} has no units", expected='"WORD unit unit ..."', where=where)
        if any(field.startswith("#") or field in ("<eps>", "<blk>") for field in fields):
            raise UserError(
                f"reserved symbol in: {line.strip()}", expected="no <eps>, <blk> or #n", where=where
            )
        entry = Pronunciation(fields[0], tuple(fields[1:]))
        if entry in entries:
            raise UserError(f"{fields[0]} is given twice with the same units", where=where)
        entries[entry] = None
    if not entries:
        raise UserError("the lexicon is empty", expected='lines "WORD unit unit ..."', where=str(file))
    return list(entries)


def write_lexicon(file: Path, entries: Iterable[Pronunciation]) -> None:
    """Write "WORD unit unit ..." lines."""
    write_text(file, "".join(f"{entry.word} {' '.join(entry.units)}\n" for entry in entries))

"""Transcript files as found: lines, keyed lines, tables; with byte-order marks and Windows line ends."""

import codecs
import unicodedata
import urllib.parse
from pathlib import Path
from typing import Dict, Iterator, Sequence, Tuple

from asrkit.errors import UserError

# Marks that belong to a word if they are between two letters: apostrophes (\u2018 in Uzbek, \u055a in
# Armenian), the middle dot of Catalan, geresh and gershayim of Hebrew
INSIDE_WORDS = "'\u2019\u2018\u055a\u00b7\u05f3\u05f4"
# Armenian marks of emphasis, exclamation and question, written over a letter inside the word
OVER_LETTERS = "\u055b\u055c\u055e"
KeyedLines = Dict[str, Tuple[int, str]]  # key -> line number, rest of the line


def read_lines(
    file: Path,
    content: str = "a transcript file of the corpus",
    todo: str = "check that the whole corpus is in the folder that --corpus-dir names",
) -> Iterator[Tuple[int, str]]:
    """Number and content of each non-empty line, without byte-order mark and line end (LF or CR LF).

    Other control characters stay, for validation. Raises UserError if the file is missing or not UTF-8.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"can't read {file}: {error.strerror}", content, str(file), todo) from None
    except UnicodeDecodeError as error:
        raise _not_utf8(file, content, error) from None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line[:-1] if line.endswith("\r") else line


def _not_utf8(file: Path, content: str, error: UnicodeDecodeError) -> UserError:
    place = error.object[: error.start].count(b"\n") + 1
    found, encoding = f"line {place} isn't UTF-8: byte 0x{error.object[error.start]:02x}", "latin1"
    advice = "convert the file, for example with"
    if error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        found, encoding, advice = "UTF-16, by its byte-order mark", "UTF-16", "convert the file with"
    return UserError(
        found,
        f"{content}, in UTF-8",
        f"{file}, line {place}",
        f"{advice} iconv -f {encoding} -t UTF-8 IN > OUT",
    )


def strip_punctuation(text: str) -> str:
    """Replace punctuation (Unicode categories P) with spaces, except marks that belong to words."""
    kept = []
    for index, character in enumerate(text):
        if unicodedata.category(character).startswith("P"):
            inside = _is_letter(text[index - 1 : index]) and _is_letter(text[index + 1 : index + 2])
            if inside and character in OVER_LETTERS:
                continue
            character = character if inside and character in INSIDE_WORDS else " "
        kept.append(character)
    return "".join(kept)


def _is_letter(character: str) -> bool:
    """Whether `character`, which may be empty, is a letter, a digit or a combining mark."""
    return character.isalnum() or (character != "" and unicodedata.category(character).startswith("M"))


def read_keyed_lines(file: Path) -> KeyedLines:
    """Lines "KEY REST" by key; raises UserError as read_lines, and for a repeated key."""
    lines: KeyedLines = {}
    for number, line in read_lines(file):
        key, *rest = line.split(None, 1)
        if key in lines:
            found = f"a second line for {key}; the first is line {lines[key][0]}"
            raise UserError(found, "one line per key", f"{file}, line {number}", "remove one of them")
        lines[key] = (number, rest[0].strip() if rest else "")
    return lines


def read_table(file: Path, required: Sequence[str]) -> Iterator[Tuple[int, Dict[str, str]]]:
    """Line number and cells by column name; without quoting, as in Common Voice.

    Raises UserError if a column of `required` is missing or a row has the wrong number of cells.
    """
    names: Sequence[str] = ()
    for number, line in read_lines(file):
        cells = line.split("\t")
        if not names:
            names = [cell.strip() for cell in cells]
            missing = [name for name in required if name not in names]
            if missing or len(set(names)) < len(names):
                raise UserError(
                    f"the columns {', '.join(names)}",
                    f"a header line with tab-separated columns: {', '.join(required)}",
                    f"{file}, line {number}",
                    "add the line, or correct it",
                )
            continue
        if len(cells) != len(names):
            raise UserError(
                f"{len(cells)} columns: {line[:80]!r}",
                f"{len(names)}, as in the header: {', '.join(names)}",
                f"{file}, line {number}",
                "correct the line; a text can't contain a tab, because there is no quoting",
            )
        yield number, dict(zip(names, cells))


def id_of_path(path: str) -> str:
    """An id for a row without one: its path, with spaces, % and unprintable characters escaped as in URLs."""
    return "".join(
        each if each.isprintable() and each not in " %" else urllib.parse.quote(each) for each in path
    )

"""Transcript files as people leave them: byte-order marks, Windows line ends, empty lines, punctuation."""

import unicodedata
from pathlib import Path
from typing import Dict, Iterator, Tuple

from asrkit.errors import UserError

APOSTROPHES = "'\u2019"
KeyedLines = Dict[str, Tuple[int, str]]  # the first word of a line: its number, and the rest


def read_lines(
    file: Path,
    content: str = "a transcript file of the corpus",
    todo: str = "check that the whole corpus is in the folder that --corpus-dir names",
) -> Iterator[Tuple[int, str]]:
    """Line number and content of each line that isn't empty, without byte-order mark and line end.

    Lines end at LF or CR LF alone, so that a control character inside a line stays visible to
    validation. Raises UserError when the file is missing or isn't UTF-8.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(
            f"can't read {file}: {error.strerror}",
            expected=content,
            where=str(file),
            todo=todo,
        ) from None
    except UnicodeDecodeError as error:
        place = error.object[: error.start].count(b"\n") + 1
        raise UserError(
            f"line {place} isn't UTF-8: byte 0x{error.object[error.start]:02x}",
            expected=f"{content}, in UTF-8",
            where=f"{file}, line {place}",
            todo="convert the file, for example with iconv -f latin1 -t utf-8",
        ) from None
    for number, line in enumerate(text.split("\n"), start=1):
        content = line[:-1] if line.endswith("\r") else line
        if content.strip():
            yield number, content


def strip_punctuation(text: str) -> str:
    """Spaces for punctuation (Unicode categories P), except an apostrophe inside a word."""
    kept = []
    for index, character in enumerate(text):
        inside = text[index - 1 : index].isalnum() and text[index + 1 : index + 2].isalnum()
        punctuation = unicodedata.category(character).startswith("P")
        kept.append(" " if punctuation and not (inside and character in APOSTROPHES) else character)
    return "".join(kept)


def read_keyed_lines(file: Path) -> KeyedLines:
    """Lines "KEY REST" by key; UserError as read_lines, and for a repeated key."""
    lines: KeyedLines = {}
    for number, line in read_lines(file):
        key, *rest = line.split(None, 1)
        if key in lines:
            raise UserError(
                f"a second line for {key}; the first one is line {lines[key][0]}",
                expected="one line each",
                where=f"{file}, line {number}",
                todo="take one of them out",
            )
        lines[key] = (number, rest[0].strip() if rest else "")
    return lines

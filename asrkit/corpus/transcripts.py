"""Transcript files as found: byte-order marks, Windows line ends, empty lines, punctuation."""

import unicodedata
from pathlib import Path
from typing import Dict, Iterator, Tuple

from asrkit.errors import UserError

APOSTROPHES = "'\u2019"
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
        place = error.object[: error.start].count(b"\n") + 1
        raise UserError(
            f"line {place} isn't UTF-8: byte 0x{error.object[error.start]:02x}",
            f"{content}, in UTF-8",
            f"{file}, line {place}",
            "convert the file, for example with iconv -f latin1 -t utf-8",
        ) from None
    for number, line in enumerate(text.split("\n"), start=1):
        content = line[:-1] if line.endswith("\r") else line
        if content.strip():
            yield number, content


def strip_punctuation(text: str) -> str:
    """Replace punctuation (Unicode categories P) by spaces, except apostrophes inside words."""
    kept = []
    for index, character in enumerate(text):
        inside = text[index - 1 : index].isalnum() and text[index + 1 : index + 2].isalnum()
        punctuation = unicodedata.category(character).startswith("P")
        kept.append(" " if punctuation and not (inside and character in APOSTROPHES) else character)
    return "".join(kept)


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

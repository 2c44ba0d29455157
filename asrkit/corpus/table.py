"""Tables with a header line and tab-separated columns."""

import urllib.parse
from pathlib import Path
from typing import Dict, Iterator, Sequence, Tuple

from asrkit.corpus.transcripts import read_lines
from asrkit.errors import UserError


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

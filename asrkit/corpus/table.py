"""Read tables with a header line, their columns separated by tabs."""

import urllib.parse
from pathlib import Path
from typing import Dict, Iterator, Sequence, Tuple

from asrkit.corpus.transcripts import read_lines
from asrkit.errors import UserError


def read_table(file: Path, required: Sequence[str]) -> Iterator[Tuple[int, Dict[str, str]]]:
    """Line number and columns by name of each row; quotation marks mean nothing, as in Common Voice.

    Raises UserError when a column of `required` is missing, or a row hasn't as many as the header.
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
                    expected=f"a first line that names the columns: {', '.join(required)}, separated by tabs",
                    where=f"{file}, line {number}",
                    todo="add the line, or correct it",
                )
            continue
        if len(cells) != len(names):
            raise UserError(
                f"{len(cells)} columns: {line[:80]!r}",
                expected=f"{len(names)}, as the header has: {', '.join(names)}",
                where=f"{file}, line {number}",
                todo="correct the line; there is no quoting, so a tab is never inside a text",
            )
        yield number, dict(zip(names, cells))


def id_of_path(path: str) -> str:
    """The id of a row that has none: its path, with what no id may hold and % written as in URLs.

    So it depends on no other row, and no other path has it.
    """
    return "".join(
        each if each.isprintable() and each not in " %" else urllib.parse.quote(each) for each in path
    )

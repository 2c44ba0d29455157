"""Names of splits, which become names of files."""

import re
from typing import Iterable

from asrkit.errors import UserError

_SPLIT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


def refuse_split_names(names: Iterable[str], where: str) -> None:
    """Raise UserError unless each has 1 to 100 ASCII letters, digits, '.', '_', '-', not '.' first."""
    for name in names:
        if _SPLIT.fullmatch(name) is None:
            expected = "1 to 100 of A-Z, a-z, 0-9, '.', '_', '-', not beginning with '.': it names files"
            todo = "rename it in the corpus (a column, table, CutSet or folder), or in recipe.yaml"
            raise UserError(f"the name of a split: {name[:200]!r}", expected, where, todo)

"""Text beside the transcripts, for the language model and its vocabulary."""

from pathlib import Path
from typing import List

from asrkit.corpus.validation import normalise_text
from asrkit.errors import UserError


def read_further_text(file: Path, case: str) -> List[str]:
    """Sentences of a file, one a line, with letter case as corpus.case says; blank lines are left out.

    Raises UserError when it can't be read.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"can't read {file}: {error}",
            expected="text in UTF-8, one sentence a line",
            where="lm.text in recipe.yaml",
            todo="correct the name, or remove lm.text",
        ) from None
    return [normalise_text(line, case) for line in lines if line.strip()]

"""Text beside the transcripts, for the language model and its vocabulary."""

from pathlib import Path
from typing import List, Optional

from asrkit.corpus.validation import normalise_text
from asrkit.errors import UserError
from asrkit.text.grammar import draw_sentences, read_grammar

DRAWN_SENTENCES = 5000  # of a grammar, where lm.text_sentences doesn't say


def read_further_text(file: Path, case: str, drawn: Optional[int] = None) -> List[str]:
    """Sentences of a file, one a line, or, where its name ends in .yaml, `drawn` ones of that grammar.

    Letter case is as corpus.case says; blank lines are left out. Raises UserError for a file that can't
    be read.
    """
    if file.suffix == ".yaml":
        lines = draw_sentences(read_grammar(file), drawn or DRAWN_SENTENCES)
    else:
        lines = _read_lines(file)
    return [normalise_text(line, case) for line in lines if line.strip()]


def _read_lines(file: Path) -> List[str]:
    try:
        return file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"can't read {file}: {error}",
            expected="text in UTF-8, one sentence a line",
            where="lm.text in recipe.yaml",
            todo="correct the name, or remove lm.text",
        ) from None

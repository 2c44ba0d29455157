"""Text beside the transcripts, for the language model and its vocabulary."""

import gzip
from pathlib import Path
from typing import Iterable, Iterator, Optional

from asrkit.config import CorpusConfig
from asrkit.corpus.validation import normalise_text
from asrkit.errors import UserError
from asrkit.text.grammar import draw_sentences, read_grammar

DRAWN_SENTENCES = 5000  # of a grammar, where lm.text_sentences doesn't say


def read_further_text(file: Path, config: CorpusConfig, drawn: Optional[int] = None) -> Iterator[str]:
    """Sentences of a file, one a line, gzipped if its name ends in .gz; or, where it ends in .yaml, `drawn`
    ones of that grammar.

    Letter case and words are as corpus.case and corpus.words say; blank lines are left out. Raises
    UserError when it can't be read.
    """
    if file.suffix == ".yaml":
        lines: Iterable[str] = draw_sentences(read_grammar(file), drawn or DRAWN_SENTENCES)
    else:
        lines = _read_lines(file)
    return (normalise_text(line, config) for line in lines if line.strip())


def _read_lines(file: Path) -> Iterator[str]:
    try:
        with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as stream:
            for line in stream:
                yield line.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(
            f"can't read {file}: {error}",
            expected="text in UTF-8, one sentence a line",
            where="lm.text in recipe.yaml",
            todo="correct the name, or remove lm.text",
        ) from None

"""Text beside the transcripts, for the language model and its vocabulary."""

import gzip
from pathlib import Path
from typing import List

from asrkit.config import CorpusConfig
from asrkit.corpus.validation import normalise_text
from asrkit.errors import UserError


def read_further_text(file: Path, config: CorpusConfig) -> List[str]:
    """Sentences of a file, one a line, gzipped if its name ends in .gz; blank lines are left out.

    Letter case and words are as corpus.case and corpus.words say. Raises UserError when it can't be read.
    """
    try:
        with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as stream:
            lines = [line.decode("utf-8") for line in stream]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(
            f"can't read {file}: {error}",
            expected="text in UTF-8, one sentence a line",
            where="lm.text in recipe.yaml",
            todo="correct the name, or remove lm.text",
        ) from None
    return [normalise_text(line, config) for line in lines if line.strip()]

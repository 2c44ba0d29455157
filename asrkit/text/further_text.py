"""Text beside the transcripts, for the language model and its vocabulary."""

import codecs
import gzip
import zlib
from pathlib import Path
from typing import Iterable, Iterator, Optional

from asrkit.config import CorpusConfig
from asrkit.corpus.audio import AudioProblem
from asrkit.corpus.text import check_text
from asrkit.errors import UserError
from asrkit.text.grammar import draw_sentences, read_grammar

DRAWN_SENTENCES = 5000  # of a grammar, where lm.text_sentences doesn't say
LONGEST_LINE = 1 << 24  # bytes: a few compressed ones may unpack to more than memory holds


def read_further_text(file: Path, config: CorpusConfig, drawn: Optional[int] = None) -> Iterator[str]:
    """Sentences of a file, one a line, gzipped if its name ends in .gz; or, where it ends in .yaml, `drawn`
    ones of that grammar.

    They are normalised as transcripts are, and blank ones left out. One that no transcript could be is left
    out too, which is printed at the end. Raises UserError when the file can't be read, or no sentence used.
    """
    if file.suffix == ".yaml":
        lines: Iterable[str] = draw_sentences(read_grammar(file), drawn or DRAWN_SENTENCES)
    else:
        lines = _read_lines(file)
    used = left_out = 0
    first = ""
    for number, line in enumerate(lines, start=1):
        try:
            yield check_text(line, config)
            used += 1
        except AudioProblem as problem:
            if problem.kind != "empty text":
                left_out += 1
                first = first or f"the first is sentence {number}: {problem}"[:300]
    if left_out and not used:
        raise UserError(
            f"none of {left_out:,} sentences can be used; {first}",
            expected="words, without marks of sentence ends or unknown words",
            where=str(file),
            todo="remove what isn't a word from the text, or remove lm.text",
        )
    if left_out:
        print(f"{left_out:,} sentences of {file.name} can't be used and are left out; {first}")


def _read_lines(file: Path) -> Iterator[str]:
    try:
        with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as stream:
            decode = codecs.getdecoder("utf-8-sig")  # of the first line alone
            while line := stream.readline(LONGEST_LINE):
                if len(line) == LONGEST_LINE:
                    raise ValueError(f"a line of {LONGEST_LINE:,} bytes or more")
                yield decode(line)[0]
                decode = codecs.getdecoder("utf-8")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(
            f"can't read {file}: {error}",
            expected="text in UTF-8, one sentence a line",
            where="lm.text in recipe.yaml",
            todo="correct the name or the file, or remove lm.text",
        ) from None

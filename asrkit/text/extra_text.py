"""Extra LM text: sentences beside the transcripts, for the language model and its vocabulary."""

from pathlib import Path
from typing import Iterable, Iterator, Optional

from asrkit.config import CorpusConfig
from asrkit.config.checks import GRAMMARS
from asrkit.corpus.audio import AudioProblem
from asrkit.corpus.text import check_text
from asrkit.errors import UserError
from asrkit.text.grammar import draw_sentences, read_grammar
from asrkit.text.lines import READ_ERRORS, stream_lines

DRAWN_SENTENCES = 5000  # from a grammar, unless lm.text_sentences is set
LONGEST_LINE = 1 << 24  # bytes


def read_extra_text(file: Path, config: CorpusConfig, drawn: Optional[int] = None) -> Iterator[str]:
    """Normalised sentences from a text file, one per line, or `drawn` ones from a grammar.

    A text may be compressed: .gz, .xz. Blank lines and sentences that couldn't be a transcript are left out;
    the latter are reported at the end. Raises UserError if the file can't be read or no sentence can be used.
    """
    lines: Iterable[str] = stream_lines(file, LONGEST_LINE)
    if file.suffix in GRAMMARS:
        lines = draw_sentences(read_grammar(file), drawn or DRAWN_SENTENCES)
    used = left_out = 0
    first = ""
    try:
        for number, line in enumerate(lines, start=1):
            try:
                sentence = check_text(line, config)
            except AudioProblem as problem:
                if problem.kind != "empty text":
                    left_out += 1
                    first = first or f"the first is sentence {number}: {problem}"[:300]
            else:
                used += 1
                yield sentence
    except READ_ERRORS as error:
        expected, todo = "text in UTF-8, one sentence per line", "fix the name or the file, or remove lm.text"
        raise UserError(f"can't read {file}: {error}", expected, "lm.text in recipe.yaml", todo) from None
    if left_out and not used:
        expected = "words, without sentence boundaries or symbols for unknown words"
        todo = "remove what isn't a word from the text, or remove lm.text"
        raise UserError(f"none of {left_out:,} sentences can be used; {first}", expected, str(file), todo)
    if left_out:
        print(f"{left_out:,} sentences of {file.name} can't be used and are left out; {first}")

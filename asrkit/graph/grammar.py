"""G: an ARPA language model as an acceptor over words."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Iterator

import k2
import kaldilm

from asrkit.errors import UserError
from asrkit.text.units import read_symbols


def make_grammar(arpa: Path, words_file: Path) -> k2.Fsa:
    """G from an ARPA file; n-grams with words outside words.txt (such as <unk>) are left out."""
    try:
        with _quiet():
            text = kaldilm.arpa2fst(
                input_arpa=str(arpa), disambig_symbol="#0", read_symbol_table=str(words_file)
            )
    except RuntimeError as error:
        raise UserError(
            f"can't turn {arpa.name} into G: {error}", expected="an ARPA file", where=str(arpa)
        ) from None
    _refuse_wordless(text, arpa, words_file)
    grammar = k2.Fsa.from_openfst(text, acceptor=False)
    del grammar.aux_labels  # input and output are the same word
    return grammar


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what C++ writes to standard error off the terminal; kaldilm reports its progress there."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as unread:
        os.dup2(unread.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _refuse_wordless(text: str, arpa: Path, words_file: Path) -> None:
    """Refuse G without a word; `text` has lines "from to word word [cost]", and "#0" counts as none."""
    mark = str(read_symbols(words_file).index("#0"))
    arcs = (line.split() for line in text.splitlines())
    if not any(len(fields) >= 4 and fields[2] not in ("0", mark) for fields in arcs):
        raise UserError(
            "the language model has none of the words of the lexicon",
            expected="n-grams of the words in words.txt",
            where=f"{arpa} and {words_file}",
            todo="make both from the same text: run.sh --stage 3",
        )

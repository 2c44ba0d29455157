"""G: an ARPA language model as an acceptor over words."""

from pathlib import Path

import k2
import kaldilm

from asrkit.errors import UserError


def make_grammar(arpa: Path, words_file: Path) -> k2.Fsa:
    """G from an ARPA file; n-grams with words outside words.txt (such as <unk>) are left out."""
    try:
        text = kaldilm.arpa2fst(
            input_arpa=str(arpa), disambig_symbol="#0", read_symbol_table=str(words_file)
        )
    except RuntimeError as error:
        raise UserError(
            f"can't turn {arpa.name} into G: {error}", expected="an ARPA file", where=str(arpa)
        ) from None
    grammar = k2.Fsa.from_openfst(text, acceptor=False)
    del grammar.aux_labels  # input and output are the same word
    return grammar

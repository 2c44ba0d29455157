"""<UNK> in a given ARPA file wasn't treated as <unk>: units.unknown_word didn't get its probabilities, and a
model of order 1 was refused."""

from pathlib import Path
from typing import Callable

import pytest

from asrkit.graph.grammar import make_grammar
from asrkit.lm.arpa import copy_arpa, read_arpa, write_arpa
from asrkit.lm.kneser_ney import estimate
from asrkit.lm.perplexity import perplexity

WORDS = "<eps> 0\n<OOV> 1\na 2\nb 3\n<s> 4\n</s> 5\n"


def given(folder: Path, order: int) -> Path:
    write_arpa(estimate(["a b", "b a a"], order).model, folder / "small.arpa")
    text = (folder / "small.arpa").read_text()
    (folder / "given.arpa").write_text(text.replace("<unk>", "<UNK>"))
    copy_arpa(folder / "given.arpa", folder / "lm.arpa")
    assert (folder / "lm.arpa").read_text() == text
    return folder / "lm.arpa"


def test_a_unigram_model_has_a_perplexity(tmp_path: Path) -> None:
    assert perplexity(given(tmp_path, 1), ["a c"]).oov == 1


def test_the_unknown_word_has_its_probabilities(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text(WORDS)
    assert 1 in make_grammar(given(tmp_path, 2), tmp_path / "words.txt", "<OOV>").word


@pytest.mark.parametrize("normalise", [str, str.lower, str.upper])
def test_a_file_with_both_is_copied_as_it_is(tmp_path: Path, normalise: Callable[[str], str]) -> None:
    write_arpa(estimate(["A B", "B A A X"], 1).model, tmp_path / "small.arpa")
    text = (tmp_path / "small.arpa").read_text().replace("X", "<UNK>")
    (tmp_path / "given.arpa").write_text(text)
    copy_arpa(tmp_path / "given.arpa", tmp_path / "lm.arpa", normalise=normalise)
    assert {"<unk>", "<UNK>"} <= set(read_arpa(tmp_path / "lm.arpa").vocabulary)

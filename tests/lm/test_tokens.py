"""What a training text may hold, and how words are numbered."""

import pytest

from asrkit.errors import UserError
from asrkit.lm.tokens import tokenise


def test_words_are_numbered_in_code_point_order_behind_the_special_ones() -> None:
    tokens = tokenise(["the cat", "", "a  cat\u3000é"])
    assert tokens.vocabulary == ["<unk>", "<s>", "</s>", "a", "cat", "the", "é"]
    assert tokens.ids.tolist() == [5, 4, 2, 2, 3, 4, 6, 2]
    assert tokens.position.tolist() == [0, 1, 2, 0, 0, 1, 2, 3]


@pytest.mark.parametrize("word", ["<s>", "</s>", "<unk>", "<UNK>"])
def test_refuses_reserved_words_with_the_line(word: str) -> None:
    with pytest.raises(UserError) as refusal:
        tokenise(["fine", f"a {word} b"], where="some.txt")
    assert f"line 2: {word}" in refusal.value.found
    assert "some.txt, line 2" in refusal.value.where


def test_refuses_a_nul_character() -> None:
    with pytest.raises(UserError, match="line 1: a NUL"):
        tokenise(["a\0b"])


@pytest.mark.parametrize(("sentences", "found"), [([], "0 lines"), (["", " \t"], "no words in 2 lines")])
def test_refuses_a_text_without_words(sentences: list, found: str) -> None:
    with pytest.raises(UserError, match=found):
        tokenise(sentences)

"""What a training text may contain, and how words are numbered."""

from pathlib import Path

import pytest

from asrkit.errors import UserError
from asrkit.lm.tokens import OF_MODEL, tokenise


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_words_are_numbered_in_code_point_order_after_the_special_ones(at_once: int, tmp_path: Path) -> None:
    tokens = tokenise(["the cat", "", "a  cat\u3000é"], tmp_path, at_once=at_once)
    assert tokens.vocabulary == ["<unk>", "<s>", "</s>", "a", "cat", "the", "é"]
    assert tokens.ids.tolist() == [5, 4, 2, 2, 3, 4, 6, 2]
    assert [id for part in tokens.parts for id in tokens.ids[part].tolist()] == tokens.ids.tolist()


@pytest.mark.parametrize("word", ["<s>", "</s>", "<unk>", "<UNK>"])
def test_refuses_reserved_words_with_the_line(word: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refusal:
        tokenise(["fine", f"a {word} b"], tmp_path)
    assert f"line 2: {word}" in refusal.value.found
    assert f"{OF_MODEL}, line 2" in refusal.value.where


def test_refuses_a_nul_character(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 1: a NUL"):
        tokenise(["a\0b"], tmp_path)


@pytest.mark.parametrize(("sentences", "found"), [([], "0 lines"), (["", " \t"], "no words in 2 lines")])
def test_refuses_a_text_without_words(sentences: list, found: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=found):
        tokenise(sentences, tmp_path)

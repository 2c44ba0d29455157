from pathlib import Path

import pytest

from asrkit.errors import UserError
from asrkit.text.lexicon import Pronunciation, read_lexicon, write_lexicon


def test_written_lexicon_is_read_back(tmp_path: Path) -> None:
    entries = [Pronunciation("A", ("EY",)), Pronunciation("A", ("AH",)), Pronunciation("你好", ("n", "i3"))]
    write_lexicon(tmp_path / "lexicon.txt", entries)
    assert read_lexicon(tmp_path / "lexicon.txt") == entries


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("YES Y\nNO\n", "word NO has no units"),
        ("YES Y #1\n", "reserved symbol"),
        ("YES <blk>\n", "reserved symbol"),
        ("YES Y\nYES Y\n", "given twice"),
        ("\n\n", "the lexicon is empty"),
    ],
)
def test_a_wrong_lexicon_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "lexicon.txt"
    file.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        read_lexicon(file)
    assert "lexicon.txt" in str(caught.value)


def test_the_same_pronunciation_further_down_is_refused_too(tmp_path: Path) -> None:
    file = tmp_path / "lexicon.txt"
    file.write_text("A EY\nB B IY\nA EY\n")
    with pytest.raises(UserError, match="given twice") as caught:
        read_lexicon(file)
    assert "line 3" in caught.value.where

from pathlib import Path

import pytest

from asrkit.config import CorpusConfig
from asrkit.errors import UserError
from asrkit.text.lexicon import Pronunciation, read_lexicon, write_lexicon


@pytest.mark.parametrize("probability", [1.0, 0.3])
@pytest.mark.parametrize("unit", ["nan", "7"])
def test_writing_and_reading_round_trip(tmp_path: Path, unit: str, probability: float) -> None:
    entries = [
        Pronunciation("A", ("EY",), 1e-05),
        Pronunciation("A", ("AH",)),
        Pronunciation("你好", (unit, "i3"), probability),
    ][probability == 1 :]
    write_lexicon(tmp_path / "lexicon.txt", entries)
    assert read_lexicon(tmp_path / "lexicon.txt") == entries


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("YES Y\nNO\n", "word NO has no units"),
        ("YES Y #1\n", "reserved symbol"),
        ("YES <blk>\n", "reserved symbol"),
        ("YES Y\n\nNO 0.5 N\n", "NO has a probability, unlike the lines above"),
        ("YES .5 Y\nNO N\n", "NO has no probability"),
        ("YES 0 Y\n", "YES has probability 0"),
        ("YES 1.5 Y\n", "YES has probability 1.5"),
        ("YES -1e-1 Y\n", "YES has probability -1e-1"),
        ("YES 0.5\n", "word YES has no units"),
        ("\n\n", "the lexicon is empty"),
    ],
)
def test_faults_of_a_lexicon_are_reported_with_their_place(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "lexicon.txt"
    file.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        read_lexicon(file, CorpusConfig(module="any"))
    assert "lexicon.txt" in str(caught.value)


def test_a_repeated_pronunciation_counts_once(tmp_path: Path) -> None:
    file = tmp_path / "lexicon.txt"
    file.write_text("A 0.5 EY\nB 1 B IY\nA 0.2 EY\nA 0.1 AH\n")  # CMUdict repeats some, too
    a, b, other = ("A", ("EY",), 0.5), ("B", ("B", "IY")), ("A", ("AH",), 0.1)
    expected = [Pronunciation(*entry) for entry in (a, b, other)]
    assert read_lexicon(file, CorpusConfig(module="any")) == expected
    assert read_lexicon(file) == expected

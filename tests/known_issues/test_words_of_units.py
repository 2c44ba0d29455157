"""sentencepiece normalised by NFKC what asrkit had by NFC: don´t had two marks of a word's beginning."""

from pathlib import Path
from typing import List

import pytest

from asrkit.config import CorpusConfig, UnitsConfig
from asrkit.corpus.text import normalise_text
from asrkit.errors import UserError
from asrkit.text.units import build_units, load_units

ANY = CorpusConfig(module="any")
SENTENCES = ["the cat sat on a mat and then it ran", "over to see the old man by the sea"] * 5
WORDS = [
    *(
        "don\u00b4t",
        "foo\u200bbar",
        "a\u00a8b",
        "\ufdfa",
        "\ufb01n",
        "\u2167",
        "\u0301",
        "\u0e33",
        "C#",
        "#metoo",
        "#0",
    ),
    *(
        "(%hesitation)",
        "<noise>",
        "<blk>",
        "a<blk>b",
        "a<unk>",
        "x<s>y",
        "می\u200cخواهم",
        "क\u094d\u200dष",
        "അവന\u0d4d\u200d",
    ),
    *("e\u0301", "\u1100\u1161\u11a8", "\u2764\ufe0f", "\u2047", "<0x41>", "7", "0.5", "co\u00adop", "{A"),
]


@pytest.mark.parametrize("kind", ["bpe", "characters"])
def test_the_units_of_every_word_give_it_back(tmp_path: Path, kind: str) -> None:
    words = normalise_text(" ".join(WORDS), ANY).split()
    assert len(words) == len(WORDS)
    config = UnitsConfig(kind=kind, vocabulary_size=130)
    build_units(config, [*SENTENCES, *(f"the {word} sat" for word in words)], tmp_path)
    units = load_units(tmp_path)
    assert units.words(units.encode(" ".join(words))) == words
    for word in words:
        assert sum(units.symbols[unit].count("\u2581") for unit in units.encode(word)) == 1


@pytest.mark.parametrize("kind", ["bpe", "characters"])
def test_new_words_of_other_texts_are_given_back_or_unknown(tmp_path: Path, kind: str) -> None:
    units = build_units(UnitsConfig(kind=kind, vocabulary_size=40), SENTENCES, tmp_path)
    for word in ["matman", "seeold", "ma\u00b4t", "\u00a8", "\ufb01t"]:
        assert units.words(units.encode(word)) == ([] if units.unknown_words(word) else [word])


@pytest.mark.parametrize("line", ["TWO T UW", "<SIL> SIL", "TWO ▁T ▁UW"])
def test_phones_mark_the_beginning_of_every_word_or_of_none(tmp_path: Path, line: str) -> None:
    (tmp_path / "lexicon.txt").write_text(f"ONE ▁W AH N\n{line}\n", "utf-8")
    with pytest.raises(UserError, match="are read as") as caught:
        build_units(UnitsConfig(kind="phones"), ["ONE"], tmp_path / "units", tmp_path / "lexicon.txt")
    assert line.split()[0] in caught.value.found


@pytest.mark.parametrize("lexicon", [["A ▁EY", "EH ▁EY"], ["A EY", "AT EY T", "T T"]])
def test_words_that_sound_alike_are_allowed(tmp_path: Path, lexicon: List[str]) -> None:
    (tmp_path / "lexicon.txt").write_text("\n".join(lexicon), "utf-8")
    build_units(UnitsConfig(kind="phones"), ["A"], tmp_path / "units", tmp_path / "lexicon.txt")

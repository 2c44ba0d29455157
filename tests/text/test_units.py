from pathlib import Path
from typing import List, Optional

import pytest

from asrkit.config import UnitsConfig
from asrkit.config.symbols import BLANK_SYMBOL
from asrkit.errors import UserError
from asrkit.text.units import Units, build_units, load_units, read_symbols

SENTENCES = ["ENTER FIVE SIX", "R U B O U T", "ENTER R SEVEN SEVEN", "FIFTEEN FIFTY"]


def spelled(pieces: int) -> pytest.MarkDecorator:
    bpe = UnitsConfig(kind="bpe", vocabulary_size=pieces)
    return pytest.mark.parametrize("config", [UnitsConfig(kind="characters"), bpe])


def build_phones(folder: Path, lexicon: str, sentences: List[str], unknown: Optional[str] = None) -> Units:
    (folder / "lexicon.txt").write_text(lexicon, encoding="utf-8")
    config = UnitsConfig(kind="phones", unknown_word=unknown)
    return build_units(config, sentences, folder / "units", folder / "lexicon.txt")


@spelled(40)
def test_a_sentence_survives_encoding(tmp_path: Path, config: UnitsConfig) -> None:
    build_units(config, SENTENCES, tmp_path)
    units = load_units(tmp_path)
    assert units.symbols[0] == BLANK_SYMBOL
    for sentence in SENTENCES:
        ids = units.encode(sentence)
        assert 0 not in ids
        assert " ".join(units.words(ids)) == sentence


@spelled(20)
def test_extra_vocabulary_joins_the_lexicon_if_trained_units_spell_it(
    tmp_path: Path, config: UnitsConfig
) -> None:
    alone = build_units(config, SENTENCES, tmp_path)
    units = build_units(config, SENTENCES, tmp_path, extra_words=["SEVENTEEN", "QUIZ", "ENTER"])
    assert units.symbols == alone.symbols  # no unit that training never sees
    assert {entry.word for entry in units.lexicon} - {entry.word for entry in alone.lexicon} == {"SEVENTEEN"}
    assert "SEVENTEEN" in read_symbols(tmp_path / "words.txt")


@spelled(20)
def test_oov_words_are_spelled_if_the_units_allow(tmp_path: Path, config: UnitsConfig) -> None:
    build_units(config, SENTENCES, tmp_path)
    units = load_units(tmp_path)
    assert units.unknown_words("FIVE SEVENTEEN QUIZ") == ["QUIZ"]  # no transcript has Q or Z
    assert " ".join(units.words(units.encode("FIVE SEVENTEEN"))) == "FIVE SEVENTEEN"
    assert "SEVENTEEN" not in read_symbols(tmp_path / "words.txt")


def test_phones_are_segmented_into_the_longest_words(tmp_path: Path) -> None:
    units = build_phones(tmp_path, "NO N OW\nNOT N OW T\nTO T UW\n", ["NO TO", "NOT"])
    assert units.words(units.encode("NOT TO NO")) == ["NOT", "TO", "NO"]
    assert units.words([units.ids["UW"]]) == ["UW"]


def test_the_unknown_word_stands_for_oov_words(tmp_path: Path) -> None:
    lexicon, sentences = "NO N OW\nTO T UW\n", ["NO MAYBE TO"]
    with pytest.raises(UserError, match="not in the lexicon: MAYBE") as caught:
        build_phones(tmp_path, lexicon, sentences)
    assert "units.unknown_word" in caught.value.todo
    with pytest.raises(UserError, match="the lexicon lacks <OOV>"):
        build_phones(tmp_path, lexicon, sentences, "<OOV>")
    build_phones(tmp_path, f"{lexicon}<OOV> SPN\n", sentences, "<OOV>")
    units = load_units(tmp_path / "units")
    assert units.unknown_words("NO MAYBE") == []
    assert units.encode("NO MAYBE TO") == units.encode("NO <OOV> TO")
    assert units.words(units.encode("NO MAYBE TO")) == ["NO", "<OOV>", "TO"]
    units = build_phones(tmp_path, f"{lexicon}MAYBE M EY\n", sentences)
    assert units.unknown_words("NEVER") == ["NEVER"]  # no word of the earlier setting


def test_the_most_probable_pronunciation_is_used_in_both_directions(tmp_path: Path) -> None:
    units = build_phones(tmp_path, "THE .4 DH IY\nTHE .6 DH AH\nTHEE 1 DH IY\n", ["THE", "THEE"])
    assert [units.symbols[unit] for unit in units.encode("THE")] == ["DH", "AH"]
    assert units.words(units.encode("THEE THE")) == ["THEE", "THE"]
    assert load_units(tmp_path / "units").lexicon == units.lexicon


def test_marked_phones_give_words_of_one_phone_back(tmp_path: Path) -> None:
    units = build_phones(tmp_path, "A ▁EY\nEIGHT ▁EY T\nT ▁T IY\nEIGHTY ▁EY T IY\n", ["A T", "EIGHTY"])
    for sentence in ("A T", "EIGHTY", "EIGHT T A"):
        assert " ".join(units.words(units.encode(sentence))) == sentence
    assert units.words([units.ids[unit] for unit in ("IY", "▁EY", "IY")]) == ["IY", "EYIY"]


def test_a_training_word_missing_from_the_lexicon_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 words of the training text are not in the lexicon: YES"):
        build_phones(tmp_path, "NO N OW\n", ["YES NO"])


def test_too_many_pieces_are_an_error_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        build_units(UnitsConfig(kind="bpe", vocabulary_size=4000), SENTENCES, tmp_path)
    assert "units.vocabulary_size" in str(caught.value)


def test_bpe_is_the_same_each_time(tmp_path: Path) -> None:
    config = UnitsConfig(kind="bpe", vocabulary_size=40)
    for name in ("a", "b"):
        build_units(config, SENTENCES, tmp_path / name)
    for file in ("units.txt", "lexicon.txt", "words.txt", "bpe.model"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_symbol_table_with_a_gap_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "units.txt"
    file.write_text("<blk> 0\nA 2\n")
    with pytest.raises(UserError) as caught:
        read_symbols(file)
    assert "line 2 is" in caught.value.found

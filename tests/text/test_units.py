from pathlib import Path

import pytest

from asrkit.config import UnitsConfig
from asrkit.config.symbols import BLANK_SYMBOL
from asrkit.errors import UserError
from asrkit.text.units import build_units, load_units, read_symbols

SENTENCES = ["ENTER FIVE SIX", "R U B O U T", "ENTER R SEVEN SEVEN", "FIFTEEN FIFTY"]


@pytest.mark.parametrize(
    "config", [UnitsConfig(kind="characters"), UnitsConfig(kind="bpe", vocabulary_size=40)]
)
def test_a_sentence_survives_encoding(tmp_path: Path, config: UnitsConfig) -> None:
    build_units(config, SENTENCES, tmp_path)
    units = load_units(tmp_path)
    assert units.symbols[0] == BLANK_SYMBOL
    for sentence in SENTENCES:
        ids = units.encode(sentence)
        assert 0 not in ids
        assert " ".join(units.words(ids)) == sentence


@pytest.mark.parametrize(
    "config", [UnitsConfig(kind="characters"), UnitsConfig(kind="bpe", vocabulary_size=20)]
)
def test_extra_vocabulary_joins_the_lexicon_if_trained_units_spell_it(
    tmp_path: Path, config: UnitsConfig
) -> None:
    alone = build_units(config, SENTENCES, tmp_path)
    units = build_units(config, SENTENCES, tmp_path, extra_words=["SEVENTEEN", "QUIZ", "ENTER"])
    assert units.symbols == alone.symbols  # no unit that training never sees
    assert {entry.word for entry in units.lexicon} - {entry.word for entry in alone.lexicon} == {"SEVENTEEN"}
    assert "SEVENTEEN" in read_symbols(tmp_path / "words.txt")


@pytest.mark.parametrize(
    "config", [UnitsConfig(kind="characters"), UnitsConfig(kind="bpe", vocabulary_size=20)]
)
def test_oov_words_are_spelled_if_the_units_allow(tmp_path: Path, config: UnitsConfig) -> None:
    build_units(config, SENTENCES, tmp_path)
    units = load_units(tmp_path)
    assert units.unknown_words("FIVE SEVENTEEN QUIZ") == ["QUIZ"]  # no transcript has Q or Z
    assert " ".join(units.words(units.encode("FIVE SEVENTEEN"))) == "FIVE SEVENTEEN"
    assert "SEVENTEEN" not in read_symbols(tmp_path / "words.txt")


def test_phones_are_segmented_into_the_longest_words(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("NO N OW\nNOT N OW T\nTO T UW\n")
    config = UnitsConfig(kind="phones")
    out = tmp_path / "units"
    units = build_units(config, ["NO TO", "NOT"], out, tmp_path / "lexicon.txt")
    assert units.words(units.encode("NOT TO NO")) == ["NOT", "TO", "NO"]
    assert units.words([units.ids["UW"]]) == ["UW"]


def test_the_unknown_word_stands_for_oov_words(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("NO N OW\nTO T UW\n")
    out, sentences = tmp_path / "units", ["NO MAYBE TO"]
    with pytest.raises(UserError, match="not in the lexicon: MAYBE") as caught:
        build_units(UnitsConfig(kind="phones"), sentences, out, tmp_path / "lexicon.txt")
    assert "units.unknown_word" in caught.value.todo
    config = UnitsConfig(kind="phones", unknown_word="<OOV>")
    with pytest.raises(UserError, match="the lexicon lacks <OOV>"):
        build_units(config, sentences, out, tmp_path / "lexicon.txt")
    (tmp_path / "lexicon.txt").write_text("NO N OW\nTO T UW\n<OOV> SPN\n")
    build_units(config, sentences, out, tmp_path / "lexicon.txt")
    units = load_units(out)
    assert units.unknown_words("NO MAYBE") == []
    assert units.encode("NO MAYBE TO") == units.encode("NO <OOV> TO")
    assert units.words(units.encode("NO MAYBE TO")) == ["NO", "<OOV>", "TO"]
    (tmp_path / "lexicon.txt").write_text("NO N OW\nTO T UW\nMAYBE M EY\n")
    units = build_units(UnitsConfig(kind="phones"), sentences, out, tmp_path / "lexicon.txt")
    assert units.unknown_words("NEVER") == ["NEVER"]  # no word of the earlier setting


def test_the_most_probable_pronunciation_is_used_in_both_directions(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("THE .4 DH IY\nTHE .6 DH AH\nTHEE 1 DH IY\n")
    config = UnitsConfig(kind="phones")
    units = build_units(config, ["THE", "THEE"], tmp_path / "units", tmp_path / "lexicon.txt")
    assert [units.symbols[unit] for unit in units.encode("THE")] == ["DH", "AH"]
    assert units.words(units.encode("THEE THE")) == ["THEE", "THE"]
    assert load_units(tmp_path / "units").lexicon == units.lexicon


def test_marked_phones_give_words_of_one_phone_back(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("A ▁EY\nEIGHT ▁EY T\nT ▁T IY\nEIGHTY ▁EY T IY\n", encoding="utf-8")
    config = UnitsConfig(kind="phones")
    units = build_units(config, ["A T", "EIGHTY"], tmp_path / "units", tmp_path / "lexicon.txt")
    for sentence in ("A T", "EIGHTY", "EIGHT T A"):
        assert " ".join(units.words(units.encode(sentence))) == sentence
    assert units.words([units.ids[unit] for unit in ("IY", "▁EY", "IY")]) == ["IY", "EYIY"]


def test_a_training_word_missing_from_the_lexicon_is_named(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("NO N OW\n")
    config = UnitsConfig(kind="phones")
    with pytest.raises(UserError, match="1 words of the training text are not in the lexicon: YES"):
        build_units(config, ["YES NO"], tmp_path / "units", tmp_path / "lexicon.txt")


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

"""Hotwords outside the lexicon became the unknown word; bundles with BPE or characters refused them."""

from pathlib import Path
from typing import List, Sequence

import numpy as np
import pytest

from asrkit.config.recipe import FeaturesConfig
from asrkit.config.symbols import BLANK_SYMBOL
from asrkit.deploy.export import write_pieces
from asrkit.errors import UserError
from asrkit.recognise import opening
from asrkit.recognise.bundle import FORMAT, Bundle, write_bundle
from asrkit.recognise.hotwords import _base, make_hotwords
from asrkit.recognise.transcript import Word
from asrkit.storage.files import write_bytes, write_text
from asrkit.text.bpe import bpe_spelling, read_pieces, train_bpe
from asrkit.text.lexicon import Pronunciation, write_lexicon
from asrkit.text.units import Units

TEXT = ["THE CATS SAT ON THE MATS", "A CAT AND A HAT", "JOAN HAS TEN HENS", "DON'T TOSS THE HATS, THEY SAID"]
SYMBOLS = [BLANK_SYMBOL, "SPN", "AA", "B"]
LEXICON = [Pronunciation("<UNK>", ("SPN",)), Pronunciation("AB", ("AA", "B"))]
PHONES = Units(SYMBOLS, LEXICON, unknown_word="<UNK>")


def test_the_unknown_word_stands_for_no_hotword() -> None:
    (hotword,) = make_hotwords({"ab": 1.0}, PHONES)
    assert (hotword.words, hotword.tokens) == (("AB",), (2, 3))
    with pytest.raises(UserError, match="the model has no tokens for ZEBRA") as error:
        make_hotwords({"ZEBRA": 1.0}, PHONES)
    assert "units.lexicon" in error.value.todo
    assert PHONES.encode("ZEBRA AB") == [1, 2, 3]  # in transcripts it does


def test_the_unknown_word_stands_for_no_recognised_word() -> None:
    table = np.log(np.array([[0.1, 0.1, 0.7, 0.1], [0.7, 0.1, 0.1, 0.1]]))
    greedy = [Word("AA", 0.0, 0.04, 0.7)]  # a unit that begins no word
    assert _base(table, greedy, PHONES).tolist() == table.max(axis=1).tolist()


def make_bundle(folder: Path, kind: str, lexicon: Sequence[Pronunciation], silence: str = "") -> Bundle:
    """A bundle without a model."""
    symbols = [BLANK_SYMBOL, *sorted({unit for entry in lexicon for unit in entry.units})]
    write_text(folder / "tokens.txt", "".join(f"{each} {index}\n" for index, each in enumerate(symbols)))
    write_lexicon(folder / "lexicon.txt", list(lexicon))
    write_text(folder / "model.onnx", "")
    bundle = Bundle(FORMAT, "b", FeaturesConfig(), 0.04, 4, len(symbols), kind, {}, {}, {}, silence=silence)
    return write_bundle(folder, bundle)


@pytest.fixture
def model() -> bytes:
    return train_bpe(40, TEXT, "units.vocabulary_size")


def opened_units(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Units:
    monkeypatch.setattr(opening, "OnnxEncoder", lambda *_: None)
    return opening.open_recognizer(folder).units


def test_a_bundle_of_characters_spells_any_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bundle(tmp_path, "characters", [Pronunciation("CAT", ("▁C", "A", "T")), Pronunciation("T", ("▁T",))])
    units = opened_units(tmp_path, monkeypatch)
    (hotword,) = make_hotwords({"tat cat": 1.0}, units)
    assert [[units.symbols[token] for token in word] for word in hotword.spelling] == [
        ["▁T", "A", "T"],
        ["▁C", "A", "T"],
    ]
    with pytest.raises(UserError, match="no tokens for DOG") as error:
        make_hotwords({"DOG": 1.0}, units)
    assert "units.lexicon" not in error.value.todo


@pytest.mark.parametrize("has_pieces", [True, False])
def test_a_bundle_of_bpe_pieces_spells_any_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: bytes, has_pieces: bool
) -> None:
    spell = bpe_spelling(model)
    words = sorted({word for line in TEXT for word in line.split()})
    if has_pieces:
        write_bytes(tmp_path.parent / "bpe.model", model)
        write_pieces(tmp_path.parent / "bpe.model", tmp_path / "bpe.vocab")
    make_bundle(tmp_path, "bpe", [Pronunciation(word, spell(word)) for word in words])
    units = opened_units(tmp_path, monkeypatch)
    if not has_pieces:  # as an earlier version exported it
        with pytest.raises(UserError, match="no tokens for SHEATHS") as error:
            make_hotwords({"SHEATHS": 1.0}, units)
        assert "export" in error.value.todo
        return
    # Pieces that occur in no word of the training text are not tokens of the model
    new = [a + b for a in words for b in words if {*spell(a + b)} <= {*units.symbols} and a + b not in words]
    hotwords = make_hotwords(dict.fromkeys(map(str.lower, new[:20]), 1.0), units)
    assert len(hotwords) == 20
    for hotword, word in zip(hotwords, new):
        assert tuple(units.symbols[token] for token in hotword.tokens) == spell(word)


def test_pieces_are_those_of_sentencepiece(tmp_path: Path, model: bytes) -> None:
    write_bytes(tmp_path / "bpe.model", model)
    write_pieces(tmp_path / "bpe.model", tmp_path / "bpe.vocab")
    spell, expected = read_pieces(tmp_path / "bpe.vocab"), bpe_spelling(model)
    generator = np.random.default_rng(0)
    letters: List[str] = sorted({letter for line in TEXT for letter in line} - {" "})
    words = ["".join(generator.choice(letters, size=size)) for size in generator.integers(1, 12, 500)]
    assert [spell(word) for word in words] == [expected(word) for word in words]


@pytest.mark.parametrize("content", ["A\tone\n", "A\tnan\n", "A\n"])
def test_other_files_of_pieces_are_refused(tmp_path: Path, content: str) -> None:
    write_text(tmp_path / "bpe.vocab", content)
    with pytest.raises(UserError, match="can't read"):
        read_pieces(tmp_path / "bpe.vocab")

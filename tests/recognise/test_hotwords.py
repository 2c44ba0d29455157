"""Hotwords: phrases that replace what was recognised where they nearly fit the audio as well."""

from pathlib import Path
from typing import Dict, List, Sequence

import pytest
import torch
from torch import Tensor

from asrkit.errors import UserError
from asrkit.recognise.hotwords import WEIGHT, apply_hotwords, make_hotwords, read_hotwords
from asrkit.recognise.transcript import Word
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units

LETTERS = ["<blk>", *(f"▁{letter}" for letter in "ABCDEFS"), *"ABCDEFS"]
STEP = 0.04


def spell(word: str) -> Sequence[str]:
    return (f"▁{word[0]}", *word[1:])


UNITS = Units(LETTERS, [Pronunciation("ABE", tuple(spell("ABE")))], lambda word: tuple(spell(word)))


def posteriors(*frames: Dict[str, float]) -> Tensor:
    """Log-probabilities (frame, unit): the given ones, and little for the others."""
    table = torch.full((len(frames), len(LETTERS)), 1e-4)
    for row, frame in zip(table, frames):
        for symbol, value in frame.items():
            row[LETTERS.index(symbol)] = value
    return (table / table.sum(1, keepdim=True)).log()


BLANK = {"<blk>": 1.0}
# "ABE FAD", where BE may as well be BA, and FAD may be FED
ABE_FAD = posteriors(
    BLANK, {"▁A": 1}, {"B": 1}, {"E": 0.6, "A": 0.4}, BLANK, {"▁F": 1}, BLANK, {"A": 0.6, "E": 0.4}, {"D": 1}
)
FOUND = [Word("ABE", 1 * STEP, 3 * STEP, 0.9), Word("FAD", 5 * STEP, 4 * STEP, 0.8)]


def words(phrases: Dict[str, float], found: Sequence[Word] = FOUND, table: Tensor = ABE_FAD) -> List[str]:
    return [word.word for word in apply_hotwords(found, table, make_hotwords(phrases, UNITS), UNITS, STEP)]


def test_without_hotwords_nothing_changes() -> None:
    assert apply_hotwords(FOUND, ABE_FAD, [], UNITS, STEP) == FOUND


def test_a_hotword_that_nearly_fits_is_preferred_with_its_times() -> None:
    assert words({"ABA": 0.0}) == ["ABE", "FAD"]
    found = apply_hotwords(FOUND, ABE_FAD, make_hotwords({"ABA": WEIGHT}, UNITS), UNITS, STEP)
    assert [word.word for word in found] == ["ABA", "FAD"]
    assert (found[0].start, found[0].end) == pytest.approx((1 * STEP, 4 * STEP))
    assert 0.5 < found[0].confidence < 0.9  # the geometric mean of 1, 1, 0.4
    assert found[1] == FOUND[1]


def test_words_that_fit_worse_than_the_hotword_lose_without_a_weight() -> None:
    by_graph = [Word("ABE", STEP, 3 * STEP, 0.9), Word("FEE", 5 * STEP, 4 * STEP, 0.2)]
    assert words({"FED": 0.0}, by_graph) == ["ABE", "FED"]


def test_a_word_that_is_not_in_the_audio_is_not_inserted() -> None:
    assert words({"BEAD": WEIGHT, "SAD": WEIGHT, "CAB": WEIGHT}) == ["ABE", "FAD"]


def test_the_weight_counts_only_for_a_complete_phrase() -> None:
    assert words({"ABA SEA": WEIGHT}) == ["ABE", "FAD"]  # ABA alone is no hotword
    assert words({"ABA FED": WEIGHT}) == ["ABA", "FED"]
    assert words({"ABA": WEIGHT, "ABE FED": WEIGHT}) == ["ABE", "FED"]  # seven tokens, 0.9 lost: gains more


def test_a_hotword_replaces_words_as_a_whole() -> None:
    cut = [Word("AB", STEP, 2 * STEP, 0.5), Word("E", 3 * STEP, STEP, 0.5), FOUND[1]]
    assert words({"ABA": WEIGHT}, cut) == ["ABA", "FAD"]
    assert words({"B": 5.0}) == ["ABE", "FAD"]  # in the middle of a word


def test_a_hotword_is_found_where_nothing_was_recognised() -> None:
    assert words({"FED": WEIGHT}, FOUND[:1]) == ["ABE", "FED"]


def test_a_recognised_hotword_keeps_its_times() -> None:
    assert apply_hotwords(FOUND, ABE_FAD, make_hotwords({"fad": WEIGHT}, UNITS), UNITS, STEP) == FOUND


def test_words_that_cannot_be_spelled_are_named() -> None:
    with pytest.raises(UserError, match="no tokens for QUIZ"):
        make_hotwords({"ABE": 1.0, "QUIZ": 1.0}, UNITS)
    with pytest.raises(UserError, match="one of 201 characters"):
        make_hotwords({"A" * 201: 1.0}, UNITS)


def test_all_pronunciations_are_tried() -> None:
    lexicon = [Pronunciation("X", ("▁S", "E")), Pronunciation("X", ("▁F", "E", "D"))]
    units = Units(LETTERS, lexicon)
    found = apply_hotwords(FOUND, ABE_FAD, make_hotwords({"X": WEIGHT}, units), units, STEP)
    assert [word.word for word in found] == ["ABE", "X"]


def test_a_file_of_hotwords(tmp_path: Path) -> None:
    file = tmp_path / "hotwords.txt"
    file.write_text("New York\n\nABE\t2.5\n", encoding="utf-8")
    assert read_hotwords(file) == {"New York": WEIGHT, "ABE": 2.5}
    file.write_text("ABE\ntwo\thigh\n")
    with pytest.raises(UserError, match="the weight 'high'") as caught:
        read_hotwords(file)
    assert caught.value.where.endswith("line 2")
    with pytest.raises(UserError, match="can't read"):
        read_hotwords(tmp_path / "missing")

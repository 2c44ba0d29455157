"""Alignment used only the first pronunciation of a word, and only blanks between words, never silence.

So hotwords replaced clearly spoken words or were inserted into silence, and asrkit align gave low confidences
and wrong times.
"""

from pathlib import Path
from typing import List, Sequence, Tuple

import numpy as np
import pytest
import torch
from torch import Tensor

from asrkit.config.symbols import BLANK
from asrkit.errors import UserError
from asrkit.recognise import opening
from asrkit.recognise.forced_alignment import align_spellings, align_words
from asrkit.recognise.hotwords import WEIGHT, apply_hotwords, make_hotwords
from asrkit.recognise.transcript import Word
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units
from tests.known_issues.test_spelled_hotwords import make_bundle

LEXICON = [
    Pronunciation("READ", ("R", "IY", "D")),
    Pronunciation("READ", ("R", "EH", "D")),
    Pronunciation("ROD", ("R", "AA", "D")),
    Pronunciation("SIS", ("S", "IH", "S")),
    Pronunciation("<SIL>", ("SIL",)),
]
UNITS = Units(["<blk>", "AA", "EH", "IH", "IY", "R", "D", "S", "SIL"], LEXICON)
SILENT = UNITS.with_silence("SIL")
STEP = 0.04


def sure_of(*frames: str, other: float = -8.0) -> Tensor:
    """Log-probabilities (frame, unit) of a model that is sure of these units; - is the blank."""
    table = torch.full((len(frames), len(UNITS)), other)
    table[:, BLANK] -= 1  # as in a model that has learned silence
    table[range(len(frames)), [BLANK if name == "-" else UNITS.ids[name] for name in frames]] = -0.01
    return table


PAST = sure_of("-", "R", "EH", "D", "-", "S", "IH", "S", "-")
READ_SIS = [Word("READ", 0.04, 0.12, 0.9), Word("SIS", 0.2, 0.12, 0.9)]
PAUSE = sure_of("S", "IH", "S", *["SIL"] * 10, "-", "R", "IY", "D", "SIL")
SIS_READ = [Word("SIS", 0.0, 0.12, 0.9), Word("READ", 0.56, 0.12, 0.9)]


def with_hotword(phrase: str, words: Sequence[Word], table: Tensor, units: Units) -> List[Word]:
    return apply_hotwords(words, table, make_hotwords({phrase: WEIGHT}, units), units, STEP)


def times(words: Sequence[Word]) -> List[Tuple[str, float, float]]:
    return [(word.word, round(word.start, 2), round(word.end, 2)) for word in words]


def test_a_clear_word_in_its_other_pronunciation_is_not_replaced() -> None:
    assert with_hotword("ROD", READ_SIS, PAST, UNITS) == READ_SIS


def test_its_confidence_is_that_of_the_pronunciation_that_fits() -> None:
    assert [word.confidence > 0.98 for word in align_words(PAST, UNITS, "READ SIS", STEP)] == [True, True]


def test_the_chosen_pronunciation_is_that_of_each_word() -> None:
    table = sure_of("R", "EH", "D", "R", "IY", "D", "-", "D", "R", "-", "EH", "D").numpy()
    readings = [(5, 4, 6), (5, 2, 6), (6, 5, 2, 6)]
    aligned = align_spellings(table, [readings] * 3)
    assert [tuple(word.tokens) for word in aligned] == [(5, 2, 6), (5, 4, 6), (6, 5, 2, 6)]
    assert aligned[2].spans == [(7, 7), (8, 8), (10, 10), (11, 11)]


def test_a_text_needs_the_frames_of_its_shortest_pronunciations() -> None:
    table = np.zeros((4, len(UNITS)))
    spellings = [[(5, 4, 6), (5, 5)], [(5,), (6, 6)]]  # shortest: R IY D R
    assert [word.tokens for word in align_spellings(table, spellings)] == [[5, 4, 6], [5]]
    with pytest.raises(UserError, match="3 tokens for 3 frames") as caught:
        align_spellings(table[:3], spellings)
    assert caught.value.expected == "at least 4 frames"


def test_a_hotword_is_not_inserted_into_silence() -> None:
    assert with_hotword("ROD", SIS_READ, PAUSE, SILENT) == SIS_READ


def test_a_hotword_of_two_words_may_have_silence_in_it() -> None:
    heard = [Word("SIS", 0.0, 0.12, 0.9), Word("ROD", 0.56, 0.12, 0.9)]
    found = with_hotword("SIS READ", heard, PAUSE, SILENT)
    assert times(found) == [("SIS", 0.0, 0.12), ("READ", 0.56, 0.68)]


def test_silence_belongs_to_no_word_and_blanks_do() -> None:
    aligned = align_words(PAUSE, SILENT, "SIS READ", STEP)
    assert [word.confidence > 0.98 for word in aligned] == [True, True]
    (_, *first), (_, start, end) = times(aligned)
    assert first == [0.0, 0.12]
    assert 0.52 < start < 0.56 and end == 0.68


def test_the_silence_word_of_a_text_has_the_silence() -> None:
    silence = align_words(PAUSE, SILENT, "SIS <SIL> READ", STEP)[1]
    assert round(silence.start, 2) == 0.12 and 0.51 < silence.end < 0.56


@pytest.mark.parametrize("seed", range(5))
def test_one_pronunciation_without_silence_is_aligned_as_before(seed: int) -> None:
    generator = np.random.default_rng(seed)
    table = np.log(generator.dirichlet(np.ones(4), size=9))
    words = [[tuple(generator.integers(1, 4, size=2).tolist())] for _ in range(2)]
    aligned = align_spellings(table, words)
    labels = np.full(9, BLANK)
    for word in aligned:
        for token, (first, last) in zip(word.tokens, word.spans):
            labels[first : last + 1] = token
    paths = np.stack(np.meshgrid(*[range(4)] * 9, indexing="ij"), axis=-1).reshape(-1, 9)
    keeps = np.pad(np.diff(paths, axis=1) != 0, ((0, 0), (1, 0)), constant_values=True) & (paths != BLANK)
    target = [token for word in words for token in word[0]]
    fitting = keeps.sum(axis=1) == len(target)
    fitting[fitting] = (paths[fitting][keeps[fitting]].reshape(-1, len(target)) == target).all(axis=1)
    scores = table[np.arange(9), paths[fitting]].sum(axis=1)
    assert table[np.arange(9), labels].sum() == pytest.approx(scores.max())


def test_a_bundle_names_its_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "OnnxEncoder", lambda *_: None)
    make_bundle(tmp_path, "phones", LEXICON, silence="SIL")
    units = opening.open_recognizer(tmp_path).units
    assert units.silence == units.ids["SIL"]

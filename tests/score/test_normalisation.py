"""Steps of text normalisation before scoring."""

from pathlib import Path
from typing import Sequence

import pytest

from asrkit.config.load import load_config
from asrkit.config.symbols import BLANK_SYMBOL
from asrkit.errors import UserError
from asrkit.score.alignment import Counts, align, count
from asrkit.score.normalisation import STEPS, characters, normalise, normalise_transcripts, unit_tokeniser
from asrkit.score.transcripts import Transcript
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units


@pytest.mark.parametrize(
    ("text", "steps", "expected"),
    [
        ("It IS", ["lower"], "it is"),
        ("Ｇｏ ﬁve", ["nfkc"], "Go five"),
        ("“Don’t,” he said: 'tis twenty-one.", ["strip-punctuation"], "Don’t he said tis twenty one"),
        ("今天，好。", ["strip-punctuation"], "今天 好"),
        ("ＤＯＮ'Ｔ！", ["nfkc", "lower", "strip-punctuation"], "don't"),
        ("A, b", [], "A, b"),
        ("- -", ["strip-punctuation"], ""),
    ],
)
def test_steps(text: str, steps: Sequence[str], expected: str) -> None:
    assert normalise(text.split(), steps) == expected.split()


def test_unknown_step_is_refused_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("name: x\ncorpus: {module: x}\n")
    with pytest.raises(UserError, match="'stem'") as error:
        load_config(file, assignments=["score.normalise=[lower, stem]"])
    assert "score.normalise" in error.value.found
    for step in STEPS:
        assert load_config(file, assignments=[f"score.normalise=[{step}]"]).score.normalise == (step,)


def test_reference_that_vanishes_is_refused() -> None:
    with pytest.raises(UserError, match="no word of the reference is left") as error:
        normalise_transcripts([Transcript("a", "s", ["..."], ["x"])], ["strip-punctuation"])
    assert "strip-punctuation" in error.value.where


def test_digits_make_spoken_and_written_numbers_equal() -> None:
    pytest.importorskip("text_to_num", reason="needs the extra [use]")
    timed = [[0.0, 0.4, 0.9], [0.5, 0.4, 0.7], [1.0, 0.4, 0.8]]
    transcript = Transcript("a", "s", ["23", "GO"], ["TWENTY", "THREE", "GO"], timed=timed)
    (found,) = normalise_transcripts([transcript], ["digits"])
    assert found.reference == found.hypothesis == ["23", "GO"]
    assert found.timed == [[0.0, pytest.approx(0.9), 0.7], [1.0, pytest.approx(0.4), 0.8]]


def test_characters_of_english_leave_spaces_out() -> None:
    reference, hypothesis = characters(["GO", "TO"]), characters(["GOT", "O"])
    assert count(align(reference, hypothesis)) == Counts(4, 0, 0, 0)


def test_characters_of_chinese_count_each_sign() -> None:
    reference, hypothesis = characters(["今天", "天气"]), characters(["今天", "天", "汽好"])
    assert count(align(reference, hypothesis)) == Counts(4, 1, 0, 1)


def test_phones_are_those_of_the_first_pronunciation() -> None:
    lexicon = [
        Pronunciation("THE", ("DH", "AH")),
        Pronunciation("THE", ("DH", "IY")),
        Pronunciation("AT", ("AE", "T")),
    ]
    tokenise = unit_tokeniser(Units([BLANK_SYMBOL, "AE", "AH", "DH", "IY", "T"], lexicon))
    assert tokenise(["AT", "THE"]) == ["AE", "T", "DH", "AH"]
    assert tokenise(["DH", "OTHER"]) == ["DH", "OTHER"]  # a phone that greedy search left over; no word


def test_word_that_the_lexicon_lacks_is_cut_into_its_longest_units() -> None:
    lexicon = [Pronunciation("TEN", ("▁TE", "N")), Pronunciation("NET", ("▁N", "ET"))]
    units = Units([BLANK_SYMBOL, "ET", "N", "▁N", "▁TE"], lexicon, spell=lambda word: (f"▁{word}",))
    tokenise = unit_tokeniser(units)
    assert tokenise(["TEN", "NETN"]) == ["▁TE", "N", "▁N", "ET", "N"]
    assert tokenise(["XET"]) == ["▁X", "ET"]

"""For phones with word-start marks, the unit error rate split out-of-vocabulary words into letters."""

import pytest

from asrkit.config.symbols import BLANK_SYMBOL
from asrkit.score.normalisation import unit_tokeniser
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units


def units_of(mark: str) -> Units:
    lexicon = [Pronunciation("GO", (f"{mark}G", "OW")), Pronunciation("AT", (f"{mark}AE", "T"))]
    return Units([BLANK_SYMBOL, f"{mark}AE", f"{mark}G", "OW", "T"], lexicon)


@pytest.mark.parametrize("mark", ["", "▁"])
def test_a_word_that_the_lexicon_lacks_is_one_token(mark: str) -> None:
    units = units_of(mark)
    assert unit_tokeniser(units)(["GO", "TIGER", "AT"]) == [f"{mark}G", "OW", "TIGER", f"{mark}AE", "T"]


def test_marked_phones_that_form_no_word_are_counted_as_phones() -> None:
    units = units_of("\u2581")
    words = units.words([units.ids[name] for name in ("\u2581AE", "T", "\u2581G", "T", "OW")])
    assert words == ["AT", "GTOW"]
    assert unit_tokeniser(units)(words) == ["\u2581AE", "T", "\u2581G", "T", "OW"]

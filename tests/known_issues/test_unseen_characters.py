"""In the unit error rate of characters, an unseen character at the start of a word counted as two units."""

from typing import List

import pytest

from asrkit.config.symbols import BLANK_SYMBOL
from asrkit.corpus.text import WORD_START
from asrkit.score.normalisation import unit_tokeniser
from asrkit.text.units import Units


@pytest.mark.parametrize(
    ("word", "expected"),
    [("ba", ["▁b", "a"]), ("éa", ["▁é", "a"]), ("bé", ["▁b", "é"]), ("é", ["▁é"])],
)
def test_each_character_is_one_unit(word: str, expected: List[str]) -> None:
    units = Units(
        [BLANK_SYMBOL, f"{WORD_START}b", "a", "b"], [], spell=lambda word: (WORD_START + word[0], *word[1:])
    )
    assert unit_tokeniser(units)([word]) == expected


def test_a_mark_that_is_a_unit_stays_one() -> None:
    units = Units([BLANK_SYMBOL, WORD_START, "a"], [], spell=lambda word: (WORD_START, *word))
    assert unit_tokeniser(units)(["éa"]) == [WORD_START, "é", "a"]

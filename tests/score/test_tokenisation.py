"""What is counted: words, characters, units of the lexicon."""

from asrkit.score.alignment import Counts, align, count
from asrkit.score.tokenisation import characters, unit_tokeniser
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import BLANK, Units


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
    tokenise = unit_tokeniser(Units([BLANK, "AE", "AH", "DH", "IY", "T"], lexicon))
    assert tokenise(["AT", "THE"]) == ["AE", "T", "DH", "AH"]
    assert tokenise(["DH", "OTHER"]) == ["DH", "OTHER"]  # a phone that greedy search left over; no word


def test_word_that_the_lexicon_lacks_is_cut_into_its_longest_units() -> None:
    lexicon = [Pronunciation("TEN", ("▁TE", "N")), Pronunciation("NET", ("▁N", "ET"))]
    tokenise = unit_tokeniser(Units([BLANK, "ET", "N", "▁N", "▁TE"], lexicon))
    assert tokenise(["TEN", "NETN"]) == ["▁TE", "N", "▁N", "ET", "N"]
    assert tokenise(["XET"]) == ["▁", "X", "ET"]

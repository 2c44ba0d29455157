"""sclite took <noise> at the beginning of a reference for a label, and other words for signs of its own."""

import urllib.parse

import pytest

from asrkit.score.ctm import make_ctm, make_stm, make_trn
from asrkit.score.transcripts import Transcript

WORDS = [
    *(
        "<noise>",
        "<ALT_BEGIN>",
        ";;",
        ";comment",
        "{",
        "A",
        "/",
        "B",
        "}",
        "@",
        "(%hesitation)",
        "(x-y)",
        "10:30",
        "a\\:b",
    ),
    *(
        "IGNORE_TIME_SEGMENT_IN_SCORING",
        "Ignore_time_segment_in_scoring",
        "**",
        "no*",
        "50%",
        "%28",
        "and/or",
        "é",
        "-",
        "C#",
    ),
]


@pytest.mark.parametrize("word", WORDS)
def test_no_word_has_a_sign_and_each_can_be_had_back(word: str) -> None:
    one = Transcript("c0", "x", [word, "ONE"], [word], timed=[[0.0, 0.1, 1.0]], duration=1.0)
    first_of_stm = make_stm([one]).split()[5]
    assert first_of_stm == make_trn([one], hypothesis=False).split()[0] == make_ctm([one]).split()[4]
    assert not set(first_of_stm) & set("(){}/@<>;:*\\") and not first_of_stm.upper().startswith("IGNORE_")
    assert urllib.parse.unquote(first_of_stm) == word


def test_words_stay_apart_and_usual_ones_as_they_are() -> None:
    usual = ["DON'T", "well-known", "naïve", "你好", "$5", "a_b", "#1"]
    one = Transcript("c0", "x", WORDS, usual)
    assert len(set(make_trn([one], hypothesis=False).split()[:-1])) == len(WORDS)
    assert make_trn([one], hypothesis=True) == f"{' '.join(usual)} (x-c0)\n"


def test_ids_stay_apart() -> None:
    ids = ["a(1)", "a.1.", "a;1;", "a%281%29"]
    made = [make_stm([Transcript(id, "x", ["ONE"], [], duration=1.0)]).split()[0] for id in ids]
    assert made == ["a%281%29", "a.1.", "a%3B1%3B", "a%25281%2529"]


def test_an_id_is_no_comment() -> None:
    one = Transcript(";;(c", "a;b", ["ONE"], ["ONE"], timed=[[0.0, 0.1, 1.0]], duration=1.0)
    assert make_stm([one]).startswith("%3B%3B%28c 1 a.b ") and make_ctm([one]).startswith("%3B%3B%28c 1 ")

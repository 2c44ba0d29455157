"""Errors by group, and confusions, against counts made by hand."""

import pytest

from asrkit.score.breakdown import break_down, length_bin, snr_bin
from asrkit.score.evaluation import evaluate
from asrkit.score.transcripts import Transcript

TRANSCRIPTS = [
    Transcript("u1", "anna", list("abcdef"), list("abcdxf"), snr=12.0, groups=("age over 15", "gender f")),
    Transcript("u2", "ben", list("ae"), list("aeb"), snr=-0.5),
    Transcript("u3", "ben", list("e"), list("y"), groups=("gender m",)),
    Transcript("u4", "ben", list("ab"), list("a"), snr=10.0),
]


@pytest.mark.parametrize(
    ("length", "expected"),
    [(0, "0"), (1, "1-4"), (4, "1-4"), (5, "5-8"), (8, "5-8"), (9, "9-16"), (16, "9-16"), (17, "17-32")],
)
def test_bins_of_length_double(length: int, expected: str) -> None:
    assert length_bin(length) == expected


@pytest.mark.parametrize(
    ("snr", "expected"), [(-0.5, "-5 to 0 dB"), (0, "0 to 5 dB"), (4.9, "0 to 5 dB"), (5.0, "5 to 10 dB")]
)
def test_bins_of_signal_to_noise_ratio(snr: float, expected: str) -> None:
    assert snr_bin(snr) == expected


def test_groups_add_up_and_confusions_are_ordered() -> None:
    found = break_down(evaluate(TRANSCRIPTS, "word", list, samples=10))
    assert found["speakers"] == {"ben": [3, 5], "anna": [1, 6]}
    group = [1, 6, pytest.approx(100 / 6), pytest.approx(100 / 6)]  # one utterance: no other draw
    assert found["groups"] == {"age over 15": group, "gender f": group, "gender m": [1, 1, 100, 100]}
    assert list(found["lengths"].items()) == [("1-4", [3, 5]), ("5-8", [1, 6])]
    assert list(found["snr"].items()) == [("-5 to 0 dB", [1, 2]), ("10 to 15 dB", [2, 8])]
    assert found["confusions"] == {
        "substitutions": [["e", "x", 1], ["e", "y", 1]],
        "deletions": [["b", "", 1]],
        "insertions": [["", "b", 1]],
    }


def test_only_the_most_frequent_are_shown() -> None:
    found = break_down(evaluate([*TRANSCRIPTS, TRANSCRIPTS[2]], "word", list, samples=10), shown=1)
    assert found["confusions"]["substitutions"] == [["e", "y", 2]]

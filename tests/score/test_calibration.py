"""Confidences of words: how far they are from the truth, and the files that hold them."""

import pytest

from asrkit.score.breakdown import calibrate, measure_calibration, reliability_table
from asrkit.score.ctm import make_ctm, make_stm
from asrkit.score.evaluation import evaluate
from asrkit.score.normalisation import normalise_transcripts
from asrkit.score.transcripts import Transcript

TRANSCRIPTS = [
    Transcript(
        *("u1", "anna_b", ["GO", "TO", "TEN"], ["GO", "TWO", "TEN", "NOW"]),
        timed=[[0.0, 0.2, 1.0], [0.24, 0.2, 0.5], [0.6, 0.04, 0.95], [1.0, 0.4, 0.25]],
        duration=1.5,
    ),
    Transcript("u2", "ben", ["STOP"], ["STOP"], duration=2.0),  # fell back to greedy
    Transcript("u3", "ben", ["ON"], [], rejected="zero samples"),
    Transcript("u4", "ben", ["ON"], [], timed=[], duration=0.5),
]


def test_expected_calibration_error_of_a_made_up_table() -> None:
    found = measure_calibration([0.95, 0.95, 1.0, 0.7, 0.7, 0.0], [True, True, False, True, False, False])
    assert [row for row in found["bins"] if row[0]] == [
        [1, 0.0, 0.0],
        [2, pytest.approx(0.7), 0.5],
        [3, pytest.approx(2.9 / 3), pytest.approx(2 / 3)],
    ]
    assert found["words"] == 6
    assert found["expected_error"] == pytest.approx((2 * 0.2 + 3 * 0.3) / 6)
    assert reliability_table(found)[2] == "  0.7-0.8  2 words, mean confidence 0.700, 50.0 % correct"


def test_a_word_is_right_as_it_is_aligned_and_only_timed_utterances_count() -> None:
    found = calibrate(evaluate(TRANSCRIPTS, "word", list, samples=10))
    assert found is not None
    assert {index: row for index, row in enumerate(found["bins"]) if row[0]} == {
        2: [1, 0.25, 0.0],
        5: [1, 0.5, 0.0],
        9: [2, pytest.approx(0.975), 1.0],
    }
    assert calibrate(evaluate(TRANSCRIPTS[1:], "word", list, samples=10)) is None


def test_a_normalised_word_keeps_its_time() -> None:
    timed = [[0.0, 0.2, 1.0], [0.5, 0.2, 0.7], [0.9, 0.1, 0.4]]
    before = [Transcript("u1", "anna", ["a"], ["well-known", "--", "a"], timed=timed)]
    (after,) = normalise_transcripts(before, ["strip-punctuation"])
    assert after.hypothesis == ["well", "known", "a"]
    assert after.timed == [timed[0], timed[0], timed[2]]


def test_ctm_and_stm_name_the_same_utterances() -> None:
    assert make_ctm(TRANSCRIPTS) == (
        "u1 1 0.00 0.20 GO 1.0000\nu1 1 0.24 0.20 TWO 0.5000\n"
        "u1 1 0.60 0.04 TEN 0.9500\nu1 1 1.00 0.40 NOW 0.2500\n"
        ";; u2: no lattice, so no times\n;; u3: zero samples, so no times\n"
    )
    assert make_stm(TRANSCRIPTS) == (
        "u1 1 anna.b 0.00 1.50 GO TO TEN\nu2 1 ben 0.00 2.00 STOP\n"
        "u3 1 ben 0.00 0.01 ON\nu4 1 ben 0.00 0.50 ON\n"
    )

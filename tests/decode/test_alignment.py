"""How well a text fits its audio, on posteriors of which all alignments can be written down."""

import math

import torch

from asrkit.decode.alignment import align
from tests.train.tiny import UNITS

# (frame, unit): <blk>, A, B
LOG_PROBS = torch.tensor([[0.2, 0.7, 0.1], [0.6, 0.1, 0.3]]).log()


def test_the_models_own_transcript_scores_nothing() -> None:
    found = align(LOG_PROBS, UNITS, "A")
    assert (found.heard, found.score, found.reason) == ("A", 0.0, "")


def test_another_text_scores_the_ratio_of_the_probabilities_a_unit() -> None:
    heard = 0.7 * 0.6 + 0.2 * 0.1 + 0.7 * 0.1  # A blank, blank A, A A
    score = align(LOG_PROBS, UNITS, "A B").score
    assert score is not None
    assert math.isclose(score, math.log(0.7 * 0.3 / heard) / 2, rel_tol=1e-5)
    score = align(LOG_PROBS, UNITS, "B").score
    assert score is not None
    assert math.isclose(score, math.log((0.1 * 0.6 + 0.2 * 0.3 + 0.1 * 0.3) / heard), rel_tol=1e-5)


def test_a_text_beside_silence_is_scored() -> None:
    silence = torch.tensor([[0.8, 0.1, 0.1]] * 2).log()
    found = align(silence, UNITS, "A")
    assert found.heard == "" and found.score is not None
    assert math.isclose(found.score, math.log((2 * 0.8 * 0.1 + 0.1 * 0.1) / 0.8**2), rel_tol=1e-5)


def test_a_text_that_cannot_be_aligned_has_a_reason() -> None:
    assert align(LOG_PROBS, UNITS, "A A").reason == "3 frames needed, 2 there"
    assert align(LOG_PROBS, UNITS, "A C").reason == "words without units: C"
    assert align(LOG_PROBS, UNITS, "A C").score is None

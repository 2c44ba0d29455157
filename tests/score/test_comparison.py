"""Paired comparison of two systems, against answers known otherwise."""

from typing import Dict, List, Sequence

import numpy as np
import pytest

from asrkit.errors import UserError
from asrkit.score.comparison import Comparison, compare, comparison_lines, matched_pairs
from asrkit.score.evaluation import Evaluation, evaluate
from asrkit.score.transcripts import Transcript


def system(errors: Sequence[int], speakers: int = 10) -> Evaluation:
    """Ten words per utterance, `errors` of them wrong."""
    transcripts = [
        Transcript(f"u{n}", f"s{n % speakers}", ["a"] * 10, ["x"] * wrong + ["a"] * (10 - wrong))
        for n, wrong in enumerate(errors)
    ]
    return evaluate(transcripts, "word", list, samples=20)


def compared(a: Sequence[int], b: Sequence[int], **more: int) -> Comparison:
    return compare(system(a, **more), system(b, **more), samples=2000)


def test_counts_of_utterances_and_of_errors() -> None:
    found = compared([0, 2, 1, 4], [1, 0, 1, 1])
    assert found.differences == [1, -2, 0, -3]
    assert (found.a.total.errors, found.b.total.errors, found.difference) == (7, 3, -10.0)
    assert found.interval_by_speaker is None


def test_a_system_against_itself_does_not_differ() -> None:
    found = compared([0, 2, 1, 4] * 5, [0, 2, 1, 4] * 5)
    assert (found.difference, found.interval, found.interval_by_speaker) == (0.0, (0.0, 0.0), (0.0, 0.0))
    assert (found.differences, found.p_value) == ([0] * 20, 1.0)


def test_changing_sides_changes_the_sign_alone() -> None:
    a, b = [0, 2, 1, 4, 0, 0, 3] * 4, [1, 0, 1, 1, 0, 2, 2] * 4
    one, other = compared(a, b), compared(b, a)
    assert one.difference == -other.difference
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]), abs=1e-9)
    assert one.p_value == other.p_value


def test_interval_is_of_pairs_not_of_two_separate_sets() -> None:
    """Where one system makes one error more in every utterance, there is no doubt at all about that."""
    errors = np.random.default_rng(2).integers(0, 6, size=60)
    found = compared(errors.tolist(), (errors + 1).tolist())
    assert found.interval == pytest.approx((10.0, 10.0))
    assert found.p_value == 2.0**-59  # of the sign test


def test_agrees_with_the_normal_approximation() -> None:
    generator = np.random.default_rng(4)
    a, b = generator.binomial(10, 0.2, size=400), generator.binomial(10, 0.22, size=400)
    found = compared(a.tolist(), b.tolist())
    deviation = (b - a).std() / np.sqrt(400) * 10
    assert found.interval[0] == pytest.approx(found.difference - 1.96 * deviation, abs=0.2)
    assert found.interval[1] == pytest.approx(found.difference + 1.96 * deviation, abs=0.2)


def test_p_value_is_that_of_the_textbook() -> None:
    """Mean 0.5, deviation 1.6 over 64 utterances: 2.5 standard errors, which leave 0.01242."""
    differences = np.tile([2.1, -1.1], 32) * np.sqrt(63 / 64)
    differences += 0.5 - differences.mean()
    assert matched_pairs(differences) == pytest.approx(0.012419, abs=1e-6)


def test_p_value_is_rarely_small_where_nothing_differs() -> None:
    generator = np.random.default_rng(6)
    small = sum(
        matched_pairs(generator.binomial(10, 0.1, 80) - generator.binomial(10, 0.1, 80)) < 0.05
        for _ in range(400)
    )
    assert 8 <= small <= 34


def transcripts(references: Dict[str, str]) -> List[Transcript]:
    return [Transcript(key, "s", text.split(), text.split()) for key, text in references.items()]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"u1": "a b"}, "1 utterances only in A: u2"),
        ({"u1": "a b", "u2": "c", "u3": "d"}, "1 utterances only in B: u3"),
        ({"u1": "a b", "u2": "C"}, "1 utterances with another reference: u2"),
    ],
)
def test_sets_that_differ_are_refused(other: Dict[str, str], message: str) -> None:
    a, b = (
        evaluate(transcripts(each), "word", list, samples=5) for each in ({"u1": "a b", "u2": "c"}, other)
    )
    with pytest.raises(UserError) as error:
        compare(a, b, samples=5)
    assert message in error.value.found


def test_lines_say_which_is_better_and_how_sure() -> None:
    lines = comparison_lines(compared([0, 2, 1, 4] * 10, [1, 0, 1, 1] * 10))
    assert lines[0].endswith("WER 70/400 = 17.50 %")
    assert "-40 errors = -10.00 % of the reference, 95 % interval [" in lines[2]
    assert "by speaker [" in lines[2]
    assert lines[3] == "utterances 40: A better in 10, B better in 20, equal in 10"
    assert lines[4].startswith("p = 7.8e-05 (matched pairs")

"""Error counts against ones made by hand."""

import pytest

from asrkit.score.alignment import Counts, align, count


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("a b c", "a b c", Counts(3, 0, 0, 0)),
        ("a b c", "a b c d", Counts(3, 1, 0, 0)),
        ("a b c", "a c", Counts(3, 0, 1, 0)),
        ("a b c", "a x c", Counts(3, 0, 0, 1)),
        ("the cat sat on the mat", "cat sat in the the mat", Counts(6, 1, 1, 1)),
        ("one two three", "", Counts(3, 0, 3, 0)),
        ("", "one two", Counts(0, 2, 0, 0)),
        ("", "", Counts(0, 0, 0, 0)),
        ("*", "<eps>", Counts(1, 0, 0, 1)),
    ],
)
def test_counts_of_each_kind(reference: str, hypothesis: str, expected: Counts) -> None:
    assert count(align(reference.split(), hypothesis.split())) == expected


def test_alignment_reproduces_both_sides() -> None:
    reference, hypothesis = list("pittsburgh"), list("bidsberght")
    pairs = align(reference, hypothesis)
    assert [left for left, _ in pairs if left] == reference
    assert [right for _, right in pairs if right] == hypothesis


def test_rate_of_a_sum_is_pooled() -> None:
    total = Counts(1, 0, 1, 0) + Counts(9, 0, 0, 0)
    assert (total.errors, total.reference, total.rate) == (1, 10, 10.0)


def test_rate_without_reference() -> None:
    assert Counts().rate == 0.0
    assert Counts(0, 1, 0, 0).rate == float("inf")

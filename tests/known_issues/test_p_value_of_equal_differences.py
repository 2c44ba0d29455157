"""The p-value was 0 if two systems differed by the same number of errors in all of three utterances.

Later it was too small if they did so in some utterances and were equal in the others: 0.023 for 5 of 130.
"""

from typing import List

import pytest

from asrkit.score.comparison import matched_pairs


@pytest.mark.parametrize(
    ("differences", "p_value"),
    [
        ([1, 1, 1], 0.25),
        ([-2, -2], 0.5),
        ([3], 1.0),
        ([0, 0], 1.0),
        ([1] * 11, 2.0**-10),
        ([0] * 125 + [1] * 5, 0.0625),
    ],
)
def test_it_is_that_of_the_sign_test(differences: List[int], p_value: float) -> None:
    assert matched_pairs(differences) == p_value

"""Rows of an ARPA file against Python's own formatting."""

import numpy as np
import pytest

from asrkit.lm.rows import Spellings, format_numbers, join_columns


def test_rows_equal_python_s_formatting() -> None:
    random = np.random.default_rng(1)
    edges = [0.0, -0.0, -4e-8, 4e-8, -6e-8, -0.99999996, -9.99999994, -9.99999996, -99, -1234567.8901234]
    numbers = np.concatenate([edges, -10 * random.random(500), 10.0 ** random.uniform(-9, 6, 500)])
    words = ["a", "né", "\u3042\u3044", "-", "w" * 300]
    choice = random.integers(0, len(words), (len(numbers), 2))
    rounded = (np.round([numbers, -numbers], 7) + 0.0).T.tolist()
    rows = [
        f"{first:.7f}\t{words[one]} {words[two]}\t{second:.7f}\n"
        for (first, second), (one, two) in zip(rounded, choice.tolist())
    ]
    probability, backoff = format_numbers(numbers), format_numbers(-numbers)
    one, two = (Spellings(words).take(column) for column in choice.T)
    found = join_columns([*probability, b"\t", one, b" ", two, b"\t", *backoff, b"\n"])
    assert found.decode() == "".join(rows)
    assert join_columns([*format_numbers(np.array([-0.25])), b"\n"]) == b"-0.2500000\n"


def test_a_long_word_does_not_change_other_rows() -> None:
    spellings = Spellings(["a", "w" * 300, "\0"])
    for ids in ([0, 2, 0], [1, 0, 2]):
        expected = "".join(["a", "w" * 300, "\0"][row] + "\n" for row in ids)
        assert join_columns([spellings.take(np.array(ids)), b"\n"]).decode() == expected


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_refuses_values_that_are_not_finite(value: float) -> None:
    with pytest.raises(FloatingPointError):
        format_numbers(np.array([-1.0, value]))

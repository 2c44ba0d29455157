"""Pairs of numbers as one number, which can be sorted and searched for."""

from typing import Union

import numpy as np


def pair_keys(first: np.ndarray, second: Union[int, np.ndarray], size: int) -> np.ndarray:
    """An int64 (pair,) for each pair, in the order of the pairs; every second number is below `size`.

    The first numbers are widened here: NumPy 1 keeps an int32 array times any scalar in int32, and wraps.
    """
    return first.astype(np.int64) * size + second

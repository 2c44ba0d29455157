"""What every language model that rescores sentences has in common."""

from typing import Protocol, Sequence

import numpy as np


class SentenceScorer(Protocol):
    """Gives an n-best list a column of scores: any model can that has this one function."""

    def __call__(self, sentences: Sequence[Sequence[str]]) -> np.ndarray:
        """Natural log-probabilities (sentence,) of word sequences, each with its end."""

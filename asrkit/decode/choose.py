"""Choose language-model scale and word bonus by word errors on dev."""

import dataclasses
from typing import Dict, List, Mapping, Sequence, Tuple

import kaldialign
import numpy as np

from asrkit.decode.nbest import NBest, Points


@dataclasses.dataclass(frozen=True)
class Weights:
    """What the language model and each word weigh beside the acoustic score."""

    lm_scale: float
    word_bonus: float

    @property
    def point(self) -> Points:
        """As the only point of a grid."""
        return np.array([self.lm_scale]), np.array([self.word_bonus])


def choose_weights(
    references: Mapping[str, Sequence[str]], lists: Mapping[str, NBest], points: Points
) -> Tuple[Weights, List[Dict[str, float]]]:
    """The weights with the fewest word errors, and the errors at each point of the grid.

    Of equal ones the middle scale, and of those the middle bonus, which is the least on an edge.
    """
    errors = np.zeros(len(points[0]), dtype=np.int64)
    for utterance, nbest in lists.items():
        each = np.array([word_errors(references[utterance], words) for words in nbest.words])
        errors += each[nbest.totals(points).argmax(axis=0)]
    best = [(float(scale), float(bonus)) for scale, bonus in np.stack(points, 1)[errors == errors.min()]]
    lm_scale = _middle([scale for scale, _ in best])
    chosen = Weights(lm_scale, _middle([bonus for scale, bonus in best if scale == lm_scale]))
    tried = [
        {"lm_scale": float(scale), "word_bonus": float(bonus), "errors": int(count)}
        for scale, bonus, count in zip(*points, errors)
    ]
    return chosen, tried


def word_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Insertions, deletions and substitutions of the best alignment."""
    return int(kaldialign.edit_distance(reference, hypothesis)["total"])


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]

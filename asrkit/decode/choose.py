"""Choose the weights of an n-best list's columns by word errors on dev."""

from typing import Any, Dict, List, Mapping, Sequence, Tuple

import kaldialign
import numpy as np

from asrkit.decode.nbest import NBest, make_points


def choose_weights(
    references: Mapping[str, Sequence[str]],
    lists: Mapping[str, NBest],
    grid: Mapping[str, Sequence[float]],
) -> Tuple[Dict[str, float], List[Dict[str, Any]]]:
    """The weights of `grid` ({name: values}) with the fewest word errors, and the errors of all.

    Of equal ones the middle value of the first weight, then of the next, which is the least on an edge.
    """
    points = make_points(grid.values())
    errors = np.zeros(len(points), dtype=np.int64)
    for utterance, nbest in lists.items():
        each = np.array([word_errors(references[utterance], words) for words in nbest.words])
        errors += each[nbest.totals(points).argmax(axis=0)]
    best = points[errors == errors.min()]
    for column in range(points.shape[1]):
        values = sorted(set(best[:, column].tolist()))
        best = best[best[:, column] == values[len(values) // 2]]
    tried = [
        {**dict(zip(grid, point)), "errors": count} for point, count in zip(points.tolist(), errors.tolist())
    ]
    return dict(zip(grid, best[0].tolist())), tried


def word_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Insertions, deletions and substitutions of the best alignment."""
    return int(kaldialign.edit_distance(reference, hypothesis)["total"])

"""Best CTC alignments, against all alignments written down."""

import itertools
import math

import pytest
import torch

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.decode.paths import align_best  # noqa: E402

LOG_PROBS = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).log_softmax(1)


@pytest.mark.parametrize("units", [(), (1,), (1, 2), (1, 1), (2, 2, 1), (1, 2, 1, 2, 1)])
def test_the_best_of_all_alignments_is_found(units: "tuple[int, ...]") -> None:
    sums = [
        float(sum(LOG_PROBS[frame, unit] for frame, unit in enumerate(path)))
        for path in itertools.product(range(3), repeat=5)
        if tuple(unit for unit, _ in itertools.groupby(path) if unit) == units
    ]
    assert float(align_best(LOG_PROBS, [units])[0]) == pytest.approx(max(sums), abs=1e-5)


def test_neighbours_change_nothing_and_too_few_frames_have_no_alignment() -> None:
    sequences = [(1,), (1, 1, 1, 1), (), (2, 1)]
    together = align_best(LOG_PROBS, sequences).tolist()
    assert together == [float(align_best(LOG_PROBS, [units])[0]) for units in sequences]
    assert together[1] == -math.inf

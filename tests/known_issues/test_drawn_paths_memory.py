"""Paths that were drawn from a lattice were aligned with it all at once, which took 21 GB for 200 of them."""

from typing import Any, List

import numpy as np
import pytest

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import DecodeConfig  # noqa: E402
from asrkit.decode import paths  # noqa: E402
from asrkit.decode.search import prepare_graph, search_lattice  # noqa: E402
from tests.decode.test_search import SYMBOLS, make_graph, posteriors  # noqa: E402

POINT = np.array([[1.0, 0.0]])  # its best path is LEFT; RIGHT and TURN LEFT are drawn


def test_drawn_paths_are_aligned_in_pieces_that_the_lattice_size_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = DecodeConfig(search_beam=20, output_beam=20)
    way, lattice = search_lattice(prepare_graph(make_graph()), "u1", posteriors(2, 0.7), config)
    at_once = paths.list_hypotheses(lattice, SYMBOLS, way, POINT, samples=500)
    assert sorted(map(" ".join, at_once.words)) == ["LEFT", "RIGHT", "TURN LEFT"]
    aligned: List[int] = []
    real = k2.intersect_device

    def count(lattice: Any, acceptors: Any, *others: Any, **options: Any) -> Any:
        aligned.append(acceptors.shape[0])
        return real(lattice, acceptors, *others, **options)

    monkeypatch.setattr(k2, "intersect_device", count)
    monkeypatch.setattr(paths, "ARCS_AT_ONCE", lattice.num_arcs)
    in_pieces = paths.list_hypotheses(lattice, SYMBOLS, way, POINT, samples=500)
    assert aligned == [1, 1]
    assert in_pieces.words == at_once.words
    assert in_pieces.scores.tolist() == at_once.scores.tolist()

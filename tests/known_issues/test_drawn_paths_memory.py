"""Drawn word sequences were aligned with the whole lattice: 21 GB for a weak model, minutes per utterance."""

from pathlib import Path
from typing import Any, List

import pytest
import torch

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import DecodeConfig  # noqa: E402
from asrkit.decode.paths import draw_hypotheses  # noqa: E402
from asrkit.decode.search import prepare_graph, search_lattice  # noqa: E402
from tests.graph.test_compile import build, make_units  # noqa: E402

FRAMES, SAMPLES = 40, 100


def test_aligning_drawn_paths_takes_a_few_arcs_a_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = torch.full((FRAMES, len(make_units())), 1 / len(make_units())).log()
    config = DecodeConfig(search_beam=30, output_beam=20)
    _, lattice = search_lattice(prepare_graph(build(tmp_path)), "u1", flat, config)
    assert lattice is not None and lattice.num_arcs > 50 * FRAMES
    sizes: List[int] = []
    real = k2.intersect_device

    def count(*others: Any, **options: Any) -> Any:
        found = real(*others, **options)
        sizes.append(found.num_arcs)
        return found

    monkeypatch.setattr(k2, "intersect_device", count)
    assert len(draw_hypotheses(lattice, flat, SAMPLES)) > 20
    assert sizes and max(sizes) < 10 * SAMPLES * FRAMES

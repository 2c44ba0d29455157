from pathlib import Path

import pytest

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import DecodeConfig  # noqa: E402
from asrkit.decode.paths import draw_hypotheses, list_hypotheses  # noqa: E402
from asrkit.decode.search import (  # noqa: E402
    Searched,
    prepare_graph,
    read_lattices,
    search_lattice,
    write_lattices,
)
from tests.decode.test_search import SYMBOLS, make_graph, points_of, posteriors  # noqa: E402


def test_stored_lattices_give_what_fresh_ones_give(tmp_path: Path) -> None:
    config, log_probs = DecodeConfig(search_beam=20, output_beam=20), posteriors(2, 0.7)
    outcome, lattice = search_lattice(prepare_graph(make_graph()), "u1", log_probs, config)
    searched = {"b/2": Searched(outcome, lattice, 1.5), "a/1": Searched("greedy", None, 0.5)}
    write_lattices(tmp_path / "lattices.safetensors", searched, made_of="")
    stored = read_lattices(tmp_path / "lattices.safetensors")
    assert [(key, one.outcome, one.seconds) for key, one in stored.items()] == [
        ("b/2", "lattice", 1.5),
        ("a/1", "greedy", 0.5),
    ]
    assert stored["a/1"].lattice is None
    lists = [
        list_hypotheses(each, SYMBOLS, outcome, points_of(config), draw_hypotheses(each, log_probs, 50))
        for each in (lattice, stored["b/2"].lattice)
    ]
    assert len(lists[0].words) == 3
    assert lists[0].words == lists[1].words
    assert lists[0].scores.tolist() == lists[1].scores.tolist()

"""The best paths of a lattice at all points of the grid are those that k2 finds at each point."""

import pytest

k2 = pytest.importorskip("k2")
import numpy as np  # noqa: E402
import torch  # noqa: E402

from asrkit.config import DecodeConfig  # noqa: E402
from asrkit.decode import paths  # noqa: E402
from asrkit.decode.best_paths import steps_of  # noqa: E402
from asrkit.decode.nbest import NBest, make_points  # noqa: E402
from asrkit.decode.search import prepare_graph, search_lattice  # noqa: E402
from asrkit.graph.store import DecodingGraph  # noqa: E402

pytestmark = pytest.mark.k2
SYMBOLS = ["<eps>", "A", "B", "C", "D"]
POINTS = make_points([(0.0, 0.3, 0.7, 1.0, 2.0), (-2.0, 0.0, 0.5, 3.0)])


def random_lattice(seed: int, rounded: bool) -> "k2.Fsa":
    """A lattice of 25 frames over a graph with random scores; if `rounded` to halves, many are equal."""
    generator = torch.Generator().manual_seed(seed)
    graph = k2.arc_sort(k2.ctc_topo(4))
    scores = -3 * torch.rand(graph.num_arcs, generator=generator)
    frames = torch.randn(25, 5, generator=generator).log_softmax(1)
    if rounded:
        scores, frames = (2 * scores).round() / 2, (2 * frames).round() / 2
    graph.scores = torch.where(graph.labels == -1, torch.zeros(1), scores)
    config = DecodeConfig(search_beam=20, output_beam=15, max_active_states=1000, blank_skip_threshold=1.0)
    outcome, lattice = search_lattice(
        prepare_graph(DecodingGraph(graph, SYMBOLS, {})), f"u{seed}", frames, config
    )
    assert outcome == "lattice"
    return lattice


def list_of(lattice: "k2.Fsa") -> NBest:
    return paths.list_hypotheses(lattice, SYMBOLS, "lattice", POINTS)


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_lists_are_equal_to_those_of_k2(seed: int, rounded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lattice = random_lattice(seed, rounded)
    assert steps_of(lattice) is not None
    found = list_of(lattice)
    monkeypatch.setattr(paths, "steps_of", lambda lattice: None)
    expected = list_of(lattice)
    assert found.words == expected.words
    assert np.array_equal(found.scores, expected.scores)
    assert len(found.words) > 1


def test_a_lattice_with_paths_of_different_lengths_is_left_to_k2() -> None:
    text = "0 1 1 1 -0.5\n0 2 2 2 -0.1\n1 2 3 0 -0.1\n2 3 -1 -1 0\n3"
    lattice = k2.create_fsa_vec([k2.Fsa.from_str(text, num_aux_labels=1)])
    lattice.acoustic_scores, lattice.lm_scores = lattice.scores.clone(), torch.zeros(lattice.num_arcs)
    assert steps_of(lattice) is None
    assert list_of(lattice).words == [["B"]]

import math

import pytest
import torch

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import DecodeConfig  # noqa: E402
from asrkit.decode.search import best_path, prepare_graph, search_utterance  # noqa: E402
from asrkit.graph.store import DecodingGraph  # noqa: E402

SYMBOLS = ["<eps>", "LEFT", "RIGHT"]
# Unit 1 is LEFT at a graph score of -1, unit 2 is RIGHT at -3; each takes exactly two frames.
TWO_WORDS = """0 1 1 1 -1.0
0 2 2 2 -3.0
1 3 1 0 0
2 3 2 0 0
3 4 -1 -1 0
4"""


def make_graph() -> DecodingGraph:
    return DecodingGraph(k2.arc_sort(k2.Fsa.from_str(TWO_WORDS, num_aux_labels=1)), SYMBOLS, {})


def posteriors(frames: int, of_right: float) -> torch.Tensor:
    row = torch.tensor([1e-6, 1.0 - of_right, of_right])
    return row.log().expand(frames, 3).contiguous()


def search(frames: int, of_right: float, greedy: "list[str]") -> "tuple[str, dict]":
    config = DecodeConfig(search_beam=10, output_beam=10)
    fst = prepare_graph(make_graph(), config.search_lm_scale)
    found = search_utterance(fst, SYMBOLS, "u1", posteriors(frames, of_right), (0.0, 1.0), config, greedy)
    return found.way, found.words


def test_the_scale_decides_between_sound_and_language_model() -> None:
    # RIGHT leads by sound: 2 ln(0.7 / 0.3) = 1.69 < 2, the language model's lead for LEFT.
    assert 2 * math.log(0.7 / 0.3) < 2
    way, words = search(2, 0.7, [])
    assert way == "lattice"
    assert words == {0.0: ["RIGHT"], 1.0: ["LEFT"]}


def test_rescoring_at_the_search_scale_changes_nothing() -> None:
    config = DecodeConfig()
    fst = prepare_graph(make_graph(), 0.5)
    dense = k2.DenseFsaVec(posteriors(2, 0.7)[None], torch.tensor([[0, 0, 2]], dtype=torch.int32))
    lattice = k2.intersect_dense_pruned(fst, dense, 10.0, 10.0, 1, 100)
    assert config.search_lm_scale == 1.0
    assert best_path(lattice, SYMBOLS, 0.5, 0.5) == ["RIGHT"]
    assert best_path(lattice, SYMBOLS, 0.5, 1.0) == ["LEFT"]


def test_what_the_graph_cannot_explain_falls_back_to_greedy_and_says_so() -> None:
    way, words = search(5, 0.7, ["RIGHT"])  # five frames, and every path of the graph has two
    assert way == "greedy"
    assert words == {0.0: ["RIGHT"], 1.0: ["RIGHT"]}


def test_what_gives_no_word_at_all_is_marked_empty() -> None:
    way, words = search(5, 0.7, [])
    assert way == "empty"
    assert words == {0.0: [], 1.0: []}

"""A graph or lattice with flipped arcs crashed the interpreter inside k2."""

from pathlib import Path
from typing import Any, Callable, Dict, Tuple

import numpy as np
import pytest
import torch

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import DecodeConfig  # noqa: E402
from asrkit.decode.methods import UtteranceDecoder  # noqa: E402
from asrkit.decode.search import (  # noqa: E402
    Searched,
    prepare_graph,
    read_lattices,
    search_lattice,
    write_lattices,
)
from asrkit.errors import UserError  # noqa: E402
from asrkit.graph import store  # noqa: E402
from asrkit.graph.store import DecodingGraph, find_fault, load_graph  # noqa: E402
from asrkit.storage.tensors import save_tensors  # noqa: E402
from tests.graph.test_compile import build, make_units  # noqa: E402

LARGEST = 2**31 - 1
WORDS = torch.zeros(9, dtype=torch.int32)
CHANGES: Dict[str, Tuple[Callable[[torch.Tensor, torch.Tensor], Any], str]] = {
    "state beyond all": (lambda arcs, words: arcs[3, 1].fill_(LARGEST), "final state is 2,147,483,647"),
    "negative target": (lambda arcs, words: arcs[3, 1].fill_(-5), "leads backwards"),
    "negative source": (lambda arcs, words: arcs[0, 0].fill_(-1), "sorted by their sources"),
    "unsorted": (lambda arcs, words: arcs[:-1].copy_(arcs[:-1].flip(0)), "sorted by their sources"),
    "an arc from the final state": (lambda arcs, words: arcs[-1, 0].copy_(arcs[:, 1].max()), "final state"),
    "negative unit": (lambda arcs, words: arcs[2, 2].fill_(-2), "unit"),
    "unit -1 inside": (lambda arcs, words: arcs[2, 2].fill_(-1), "must have unit -1"),
    "word beyond all": (lambda arcs, words: words[1].fill_(7), "isn't among the 7 symbols"),
    "negative word": (lambda arcs, words: words[1].fill_(-2), "word"),
    "word -1 inside": (lambda arcs, words: words[1].fill_(-1), "must have word -1"),
    "score not a number": (lambda arcs, words: arcs[4, 3].fill_(0x7FC00000), "score"),
    "infinite score": (lambda arcs, words: arcs[4, 3].fill_(0x7F800000), "score"),
    "huge score": (lambda arcs, words: arcs[4, 3].fill_(0x7F000000), "score"),
}


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> DecodingGraph:
    return build(tmp_path_factory.mktemp("graph"))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("at_once", [1 << 16, 3])
def test_a_graph_with_changed_arcs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: DecodingGraph, change: str, at_once: int
) -> None:
    monkeypatch.setattr(store, "ARCS_AT_ONCE", at_once)
    file, (alter, reason) = tmp_path / "HLG.safetensors", CHANGES[change]
    arcs, words = graph.fst.arcs.values().clone(), graph.fst.aux_labels.clone()
    assert find_fault(arcs, words, len(graph.words)) == ""
    alter(arcs, words)
    save_tensors(file, {"arcs": arcs, "words": words}, {"symbols": graph.words, "made_of": {}})
    with pytest.raises(UserError, match=reason) as refusal:
        load_graph(file)
    assert "--stage graph" in refusal.value.todo


@pytest.mark.parametrize(
    ("tensors", "metadata", "reason"),
    [
        ({}, {}, "lacks arcs"),
        ({"arcs": WORDS[:0, None].repeat(1, 4), "words": WORDS[:0]}, {}, "no arcs"),
        ({"arcs": WORDS[:, None].repeat(1, 4), "words": torch.tensor(3)}, {}, "as many"),
        ({"arcs": torch.zeros(9, 4)}, {}, "32 bits"),
        ({"arcs": torch.zeros(9, 3, dtype=torch.int32)}, {}, "as many"),
        ({"arcs": WORDS.clone()}, {}, "as many"),
        ({}, {"symbols": "abc"}, "no list of words"),
        ({}, {"symbols": [1, 2]}, "no list of words"),
        ({}, {"made_of": None}, "made from"),
    ],
)
def test_other_tensors_and_symbols_are_refused(
    tmp_path: Path, tensors: Dict[str, torch.Tensor], metadata: Dict[str, Any], reason: str
) -> None:
    words = {"words": WORDS} if tensors else {}
    about = {"symbols": ["<eps>"], "made_of": {}, **metadata}
    save_tensors(tmp_path / "HLG.safetensors", {**words, **tensors}, about)
    with pytest.raises(UserError, match=reason):
        load_graph(tmp_path / "HLG.safetensors")


def test_a_graph_of_more_units_than_the_model_has_is_refused(graph: DecodingGraph) -> None:
    arcs = graph.fst.arcs.values().clone()
    arcs[1, 2] = 7  # of 0 to 6: k2 would read behind the frame
    wider = DecodingGraph(k2.Fsa(arcs, aux_labels=graph.fst.aux_labels), graph.words, {})
    with pytest.raises(UserError, match="unit 7"):
        UtteranceDecoder(DecodeConfig(), make_units(), wider)


@pytest.mark.parametrize(
    "change",
    [
        *("state beyond all", "negative unit", "score not a number"),
        *("backwards", "64-bit scores", "infinite lm_scores"),
    ],
)
def test_a_lattice_with_changed_arcs_is_left_out_and_so_searched_again(
    tmp_path: Path, graph: DecodingGraph, change: str, capsys: pytest.CaptureFixture
) -> None:
    log_probs = torch.randn(9, 7, generator=torch.Generator().manual_seed(1)).log_softmax(1)
    outcome, lattice = search_lattice(prepare_graph(graph), "u1", log_probs, DecodeConfig())
    assert lattice is not None
    file = tmp_path / "lattices.safetensors"
    write_lattices(file, {"u1": Searched(outcome, lattice, 0.1)}, "x")
    assert read_lattices(file)["u1"].lattice.num_arcs == lattice.num_arcs
    arcs = lattice.arcs.values()
    if change == "backwards":
        arcs[3, 1] = int(arcs[3, 0])
    elif change == "64-bit scores":
        lattice.acoustic_scores = lattice.acoustic_scores.double()
    elif change == "infinite lm_scores":
        lattice.lm_scores[2] = -torch.inf
    else:
        CHANGES[change][0](arcs, lattice.aux_labels)
    write_lattices(file, {"u1": Searched(outcome, lattice, 0.1)}, "x")
    assert read_lattices(file) == {}
    assert "u1: the lattice in" in capsys.readouterr().out


@pytest.mark.parametrize("column", ["labels", "aux_labels"])
def test_a_lattice_of_other_tables_is_searched_again(graph: DecodingGraph, column: str) -> None:
    decoder = UtteranceDecoder(DecodeConfig(methods=("1best",)), make_units(), graph)
    log_probs = torch.randn(9, 7, generator=torch.Generator().manual_seed(1)).log_softmax(1)
    points = {"1best": np.array([[1.0, 0.0], [0.5, 0.0]])}
    expected = decoder.decode("u1", log_probs, points)["1best"][0]
    searched = decoder.search("u1", log_probs)
    values = getattr(searched.lattice, column)
    values[(values > 0).nonzero()[0]] = 7  # of 0 to 6
    found = decoder.decode("u1", log_probs, points, searched=searched)["1best"][0]
    assert (found.words, found.outcome) == (expected.words, "lattice")

import math
from pathlib import Path
from typing import Any, List, Optional

import numpy as np
import pytest
import torch

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import DecodeConfig  # noqa: E402
from asrkit.decode import search  # noqa: E402
from asrkit.decode.methods import UtteranceDecoder  # noqa: E402
from asrkit.decode.nbest import NBest, make_points  # noqa: E402
from asrkit.decode.paths import (  # noqa: E402
    draw_hypotheses,
    list_hypotheses,
    project_to_words,
    prune_lattice,
)
from asrkit.decode.search import (  # noqa: E402
    prepare_graph,
    search_lattice,
    skip_blanks,
)
from asrkit.graph.store import DecodingGraph  # noqa: E402
from tests.graph.test_compile import build, make_units  # noqa: E402

needs_gpu = pytest.mark.skipif(not (torch.cuda.is_available() and k2.with_cuda), reason="no GPU for k2")
SYMBOLS = ["<eps>", "LEFT", "RIGHT", "TURN"]
# Unit 1 is LEFT at a graph score of -1, unit 2 is RIGHT at -3, TURN LEFT at -2; each takes two frames.
WORDS = """0 1 1 1 -1.0
0 2 2 2 -3.0
0 3 3 3 -1.0
1 4 1 0 0
2 4 2 0 0
3 4 1 1 -1.0
4 5 -1 -1 0
5"""


def make_graph() -> DecodingGraph:
    return DecodingGraph(k2.arc_sort(k2.Fsa.from_str(WORDS, num_aux_labels=1)), SYMBOLS, {})


def posteriors(frames: int, of_right: float) -> torch.Tensor:
    row = torch.tensor([1e-6, 0.95 - of_right, of_right, 0.05])
    return row.log().expand(frames, 4).contiguous()


def search_words(frames: int, of_right: float, config: Optional[DecodeConfig] = None) -> "tuple[str, Any]":
    config = config or DecodeConfig(
        search_beam=10, output_beam=10, lm_scales=(0.0, 2.0), word_bonuses=(0.0, 4.0)
    )
    fst = prepare_graph(make_graph())
    outcome, lattice = search_lattice(fst, "u1", posteriors(frames, of_right), config)
    return outcome, lattice and list_hypotheses(lattice, SYMBOLS, outcome, points_of(config))


def points_of(config: DecodeConfig) -> np.ndarray:
    return make_points([config.lm_scales, config.word_bonuses])


def best(nbest: NBest, scale: float, bonus: float) -> List[str]:
    return nbest.best([scale, bonus])


def test_the_scale_decides_between_sound_and_language_model() -> None:
    # RIGHT leads by sound: 2 ln(0.7 / 0.25) = 2.06; the language model's lead for LEFT is 2 times the scale.
    outcome, nbest = search_words(2, 0.7)
    assert outcome == "lattice"
    assert best(nbest, 0.0, 0.0) == ["RIGHT"]
    assert best(nbest, 2.0, 0.0) == ["LEFT"]
    row = nbest.scores[nbest.words.index(["RIGHT"])]
    assert row == pytest.approx([2 * math.log(0.7), -3.0, 1.0], abs=1e-5)


def test_the_word_bonus_decides_between_few_words_and_many() -> None:
    _, nbest = search_words(2, 0.7)
    assert best(nbest, 0.0, 4.0) == ["TURN", "LEFT"]
    assert nbest.scores[nbest.words.index(["TURN", "LEFT"])][2] == 2


@pytest.mark.parametrize("search_scale", [0.3, 1.0])
def test_the_list_holds_the_exact_best_path_of_every_point(search_scale: float) -> None:
    config = DecodeConfig(search_lm_scale=search_scale, output_beam=20)
    _, nbest = search_words(2, 0.7, config)
    scores = {"LEFT": (2 * math.log(0.25), -1, 1), "RIGHT": (2 * math.log(0.7), -3, 1)}
    scores["TURN LEFT"] = (math.log(0.05 * 0.25), -2, 2)
    for scale, bonus in points_of(config):
        totals = {text: am + scale * lm + bonus * count for text, (am, lm, count) in scores.items()}
        assert best(nbest, scale, bonus) == max(totals, key=lambda text: totals[text]).split()
    assert len(nbest.words) == 3


def test_drawn_hypotheses_have_the_scores_of_their_best_paths(tmp_path: Path) -> None:
    graph, units = build(tmp_path), make_units()
    log_probs = torch.randn(12, len(units), generator=torch.Generator().manual_seed(0)).log_softmax(1)
    config = DecodeConfig(search_beam=50, output_beam=50)  # nothing is left out
    outcome, lattice = search_lattice(prepare_graph(graph), "u1", log_probs, config)
    drawn = draw_hypotheses(lattice, log_probs, 300)
    assert len(drawn) > 20 and drawn == draw_hypotheses(lattice, log_probs, 300)
    assert len(draw_hypotheses(lattice, log_probs, 1)) == 1
    outside = project_to_words(lattice)
    for words, row in drawn:
        acceptor = k2.add_epsilon_self_loops(k2.linear_fsa([list(words)]))
        aligned = k2.intersect_device(outside, acceptor, torch.zeros(1, dtype=torch.int32))
        path = k2.shortest_path(aligned, use_double_scores=True)
        expected = [float(path.acoustic_scores.sum()), float(path.lm_scores.sum()), float(len(words))]
        assert row == pytest.approx(expected, abs=1e-3)
    point = np.array([[1.0, 0.0]])
    both = list_hypotheses(lattice, graph.words, outcome, point, drawn)
    alone = list_hypotheses(lattice, graph.words, outcome, point)
    assert len(both.words) > len(alone.words) == 1
    assert both.best([1.0, 0.0]) == alone.best([1.0, 0.0])


def test_a_pruned_lattice_keeps_its_best_paths(tmp_path: Path) -> None:
    graph, units = build(tmp_path), make_units()
    log_probs = torch.randn(12, len(units), generator=torch.Generator().manual_seed(1)).log_softmax(1)
    _, lattice = search_lattice(prepare_graph(graph), "u1", log_probs, DecodeConfig())
    whole = project_to_words(lattice)[0]
    assert prune_lattice(whole, whole.num_arcs) is whole
    for most in (whole.num_arcs // 2, whole.num_arcs // 10):
        pruned = prune_lattice(whole, most)
        assert 12 < pruned.num_arcs <= most
        lists = [
            list_hypotheses(k2.Fsa.from_fsas([each]), graph.words, "lattice", np.array([[0.5, 0.0]]))
            for each in (whole, pruned)
        ]
        assert lists[0].words == lists[1].words
        assert lists[0].scores == pytest.approx(lists[1].scores)


def test_what_the_graph_cannot_explain_has_no_lattice() -> None:
    assert search_words(5, 0.7) == ("greedy", None)  # five frames, and every path of the graph has two


def test_of_an_utterance_that_ends_within_a_word_the_words_before_it_are_found(tmp_path: Path) -> None:
    graph, units = build(tmp_path), make_units()
    log_probs = torch.full((7, len(units)), -1000.0)
    for row, name in zip(log_probs, ["R", "EH", "D", "<blk>", "B", "B", "UH"]):
        row[units.ids[name]] = 0.0
    outcome, lattice = search_lattice(prepare_graph(graph), "u1", log_probs[:6], DecodeConfig())
    nbest = list_hypotheses(lattice, graph.words, outcome, np.array([[1.0, 0.0]]))
    assert (outcome, nbest.best([1.0, 0.0])) == ("partial", ["RED"])
    # Two frames are left out, and the bigrams of RED after <s> and of the end after it remain.
    assert nbest.scores[0] == pytest.approx([0.0, -0.5 * math.log(10), 1.0], abs=1e-3)
    # Without its last three frames it could be decoded, but none and four, more than half, are left out.
    assert search_lattice(prepare_graph(graph), "u1", log_probs, DecodeConfig()) == ("greedy", None)


def test_silence_before_a_word_that_is_cut_off_is_no_partial_path(tmp_path: Path) -> None:
    graph, units = build(tmp_path), make_units()
    log_probs = torch.full((6, len(units)), -1000.0)
    for row, name in zip(log_probs, ["<blk>", "<blk>", "<blk>", "<blk>", "B", "B"]):
        row[units.ids[name]] = 0.0
    assert search_lattice(prepare_graph(graph), "u1", log_probs, DecodeConfig()) == ("greedy", None)


def test_an_utterance_without_a_frame_has_no_lattice() -> None:
    assert search_words(0, 0.7) == ("greedy", None)


def test_an_empty_lattice_is_searched_with_wider_beams(monkeypatch: pytest.MonkeyPatch) -> None:
    real = search._search
    monkeypatch.setattr(search, "_search", lambda *a: None if a[3] == 1.0 else real(*a))
    assert search_words(2, 0.7)[0] == "wider_beam"


def test_lack_of_memory_costs_one_utterance_its_beam(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = search._search

    def narrow_only(fst: Any, log_probs: Any, config: Any, factor: float) -> Any:
        if factor >= 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return real(fst, log_probs, config, factor)

    monkeypatch.setattr(search, "_search", narrow_only)
    outcome, nbest = search_words(2, 0.7)
    assert outcome == "narrower_beam" and nbest.words
    assert "u1: out of memory for a lattice at beam 10" in capsys.readouterr().out


def test_a_lattice_that_lacks_memory_and_last_frames_is_not_called_a_narrower_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(fst: Any, log_probs: Any, config: Any, factor: float) -> Any:
        assert factor >= 1
        if len(log_probs) < 5:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return None

    monkeypatch.setattr(search, "_search", fail)
    assert search_words(5, 0.7) == ("greedy", None)


def test_another_fault_of_the_search_is_no_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("labels out of range")

    monkeypatch.setattr(search, "_search", fail)
    with pytest.raises(RuntimeError, match="labels out of range"):
        search_words(2, 0.7)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
def test_utterances_searched_together_have_the_lattices_of_each_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    graph, units = build(tmp_path), make_units()
    random = torch.Generator().manual_seed(0)
    log_probs = {
        f"u{frames}": torch.randn(frames, len(units), generator=random).log_softmax(1)
        for frames in (12, 0, 30, 1, 7, 13)
    }
    log_probs["cut off"] = torch.full((6, len(units)), -1000.0)
    for row, name in zip(log_probs["cut off"], ["R", "EH", "D", "<blk>", "B", "B"]):
        row[units.ids[name]] = 0.0
    monkeypatch.setattr(search, "BATCH_FRAMES", 40)  # several batches
    assert [list(batch) for batch in search.batches(log_probs)] == [
        ["u1", "cut off", "u7"],
        ["u12", "u13"],
        ["u30"],
    ]
    decoder = UtteranceDecoder(DecodeConfig(methods=("1best",)), units, graph)
    found = decoder.search_together(log_probs, torch.device(device))
    assert list(found) == list(log_probs)
    for utterance, each in log_probs.items():
        outcome, lattice = search_lattice(decoder.fst, utterance, each, decoder.config)
        assert found[utterance].outcome == outcome
        assert (found[utterance].lattice is None) == (lattice is None)
        for name in ("labels", "aux_labels", "frame", *search.SCORES) if lattice is not None else ():
            together, alone = getattr(found[utterance].lattice, name), getattr(lattice, name)
            torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)
    assert [found[name].outcome for name in ("u12", "u0", "cut off")] == ["lattice", "greedy", "partial"]


def test_one_frame_of_each_run_of_blanks_stays_and_carries_the_scores_of_the_others() -> None:
    certain, other = [0.999, 0.0005, 0.0005], [0.2, 0.7, 0.1]
    rows = [certain, certain, other, certain, certain, certain, other]
    log_probs = torch.tensor(rows).log()
    shorter = skip_blanks(log_probs, 0.99)
    assert len(shorter) == 4
    # All-blank and "unit 1, blank, unit 1" keep their scores.
    assert float(shorter[:, 0].sum()) == pytest.approx(float(log_probs[:, 0].sum()), abs=1e-6)
    whole = log_probs[[2, 6], 1].sum() + log_probs[[0, 1, 3, 4, 5], 0].sum()
    assert float(shorter[[1, 3], 1].sum() + shorter[[0, 2], 0].sum()) == pytest.approx(float(whole), abs=1e-6)
    assert torch.equal(skip_blanks(log_probs, None), log_probs)

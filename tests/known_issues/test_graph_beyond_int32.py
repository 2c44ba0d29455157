"""States times units beyond 2^31 wrapped round: k2 refused the graph, or it was silently another one."""

from pathlib import Path
from typing import Any, List, Sequence, Tuple

import numpy as np
import pytest
import torch

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import DecodeConfig  # noqa: E402
from asrkit.decode.search import prepare_graph, search_lattice  # noqa: E402
from asrkit.graph import hubs  # noqa: E402
from asrkit.graph.arcs import Arcs, make_table  # noqa: E402
from asrkit.graph.compile import add_final_state  # noqa: E402
from asrkit.graph.compose import compose_words  # noqa: E402
from asrkit.graph.grammar import make_grammar  # noqa: E402
from asrkit.graph.lexicon import make_lexicon_tree  # noqa: E402
from asrkit.graph.store import DecodingGraph  # noqa: E402
from asrkit.graph.topology import add_topology  # noqa: E402
from asrkit.lm.arpa import write_arpa  # noqa: E402
from asrkit.lm.model import NgramIndex, pair_keys  # noqa: E402
from tests.graph.test_compile import best_path, draw_lexicon, draw_model, read_arcs  # noqa: E402

STATES, UNITS = 30_000, 100_000  # their product is above 2^31; few of either are used
USED = {"1": 7, "2": 30_011, "3": 71_583, "4": 99_999}


@pytest.mark.parametrize("fewest", [2, 99])  # with hubs, and without
@pytest.mark.parametrize("modified", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_a_graph_of_large_numbers_is_that_of_plain_composition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, modified: bool, fewest: int
) -> None:
    assert STATES * UNITS > 2**31
    monkeypatch.setattr(hubs, "FEWEST", fewest)
    monkeypatch.setattr(hubs, "SHARES", 2)
    random = np.random.default_rng(seed)
    arcs, final = large_lg(tmp_path, random)
    split = hubs.split_hubs(arcs, final, UNITS, modified)
    assert (split.shares > STATES) == (fewest == 2 and not modified)
    table, words = add_topology(split, UNITS, modified)
    hlg = k2.Fsa(torch.from_numpy(table), aux_labels=torch.from_numpy(words))
    ours = prepare_graph(DecodingGraph(hlg, [], {}))
    table, words = add_final_state("LG", [arcs], final)
    lg = k2.Fsa(torch.from_numpy(table), aux_labels=torch.from_numpy(words))
    plain = k2.compose(topology(sorted(USED.values()), modified), k2.arc_sort(lg))
    plain = prepare_graph(DecodingGraph(k2.connect(plain), [], {}))
    wide = DecodeConfig(search_beam=1000, output_beam=1000, search_lm_scale=1, max_active_states=10_000)
    found = 0
    for _ in range(4):
        log_probs = torch.full((9, UNITS), -50.0)
        some = [0, *USED.values()]
        drawn = torch.from_numpy(random.normal(scale=2, size=(9, len(some)))).float()
        log_probs[:, some] = drawn.log_softmax(dim=-1)
        score, heard = best_path(search_lattice(ours, "u1", log_probs, wide)[1])
        expected_score, expected = best_path(search_lattice(plain, "u1", log_probs, wide)[1])
        assert (score, heard) == (pytest.approx(expected_score, abs=1e-4), expected)
        found += len(heard)
    assert found > 4


def large_lg(folder: Path, random: np.random.Generator) -> Tuple[Arcs, np.ndarray]:
    """LG of a small language whose states are spread over STATES numbers."""
    lexicon, symbols = draw_lexicon(random), ["<eps>", *"ABCDEFGH"]
    write_arpa(draw_model(random, symbols[1:]), folder / "lm.arpa")
    (folder / "words.txt").write_text("".join(f"{word} {index}\n" for index, word in enumerate(symbols)))
    tree = make_lexicon_tree(lexicon, USED, {word: index for index, word in enumerate(symbols)})
    arcs, final = compose_words(tree, make_grammar(folder / "lm.arpa", folder / "words.txt"))
    number = np.sort(random.choice(np.arange(STATES // 2, STATES), len(final), replace=False))
    number[0] = 0
    spread = np.full(STATES, -np.inf, dtype=np.float32)
    spread[number] = final
    number = number.astype(np.int32)
    return Arcs(number[arcs.source], number[arcs.target], arcs.unit, arcs.word, arcs.score), spread


def topology(units: Sequence[int], modified: bool) -> Any:
    """CTC's topology of some units, as k2.ctc_topo makes it of 1 to n."""
    states = range(len(units) + 1)
    arcs: List[Tuple[int, int, int, int, float]] = [(0, 0, 0, 0, 0.0)]
    for state, unit in enumerate(units, start=1):
        arcs += [(0, state, unit, unit, 0.0), (state, state, unit, 0, 0.0)]
        if modified:
            arcs += [(0, 0, unit, unit, 0.0), (state, 0, unit, 0, 0.0)]
        else:
            arcs += [(state, 0, 0, 0, 0.0)]
            arcs += [(other, state, unit, unit, 0.0) for other in states if other not in (0, state)]
    ends = [0] if modified else states
    final = len(units) + 1
    return read_arcs([*arcs, *((state, final, -1, -1, 0.0) for state in ends)], final)


def test_pairs_are_wider_than_their_numbers() -> None:
    first = np.array([0, 5_000_000, 2**31 - 1], dtype=np.int32)
    for size in (434, np.int32(434), np.int64(434)):
        assert pair_keys(first, np.int32(433), size).tolist() == [433, 2_170_000_433, 434 * (2**31 - 1) + 433]
    index = NgramIndex(100_000)
    index.add(np.array([0, 30_000, 72_950], dtype=np.int32), np.array([1, 2, 3], dtype=np.int32))
    words = np.array([[30_000, 2], [72_950, 3], [1, 1]], dtype=np.int32)
    assert index.locate(words).tolist() == [1, 2, -1]


@pytest.mark.parametrize("counts", [[2, 1, 0], [1, 2, 0], [3, 1, 1], [2, 0, 1]])
def test_a_table_with_a_row_that_no_arc_filled_is_refused(counts: Sequence[int]) -> None:
    column = np.array([0, 0, 1], dtype=np.int32)
    part = Arcs(column, column, column, column, np.zeros(3, dtype=np.float32))
    if counts == [2, 1, 0]:
        assert make_table("G", np.array(counts), [part])[0][:, 0].tolist() == [0, 0, 1]
    else:
        with pytest.raises(ValueError, match="than were counted"):
            make_table("G", np.array(counts), [part])

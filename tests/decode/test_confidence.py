import math
from pathlib import Path
from typing import Optional

import numpy as np
import pytest
import torch

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import DecodeConfig  # noqa: E402
from asrkit.decode.confidence import PATHS, time_words, word_spans  # noqa: E402
from asrkit.decode.methods import UtteranceDecoder  # noqa: E402
from asrkit.decode.nbest import NBest, TimedWord, read_lists, write_lists  # noqa: E402
from asrkit.errors import UserError  # noqa: E402
from tests.graph.test_compile import build, make_units  # noqa: E402

SYMBOLS = ["<eps>", "A", "B", "C"]
SPELLINGS = {"A": [[1]], "B": [[2]], "C": [[3], [1, 1]]}
# "A B", "A C" and "B" by acoustic scores of 0.5, 0.3 and 0.2.
LATTICE = f"""0 1 1 {math.log(0.5)}
0 2 1 {math.log(0.3)}
0 3 0 {math.log(0.2)}
1 4 2 0
2 4 3 0
3 4 2 0
4 5 0 0
5 6 -1 0
6"""
# Paths put out the same word at different frames: here A with C.
WORDS = [[1], [], [], [2], [1, 3], [2], [], [-1]]
OF_C = 4  # the arc


def make_lattice(lm_of_c: float) -> "k2.Fsa":
    lattice = k2.Fsa.from_fsas([k2.Fsa.from_str(LATTICE)])
    lattice.aux_labels = k2.RaggedTensor(WORDS)
    lattice.acoustic_scores = lattice.scores.clone()
    lattice.lm_scores = torch.zeros_like(lattice.scores)
    lattice.lm_scores[OF_C] = lm_of_c
    return lattice


def test_a_words_confidence_is_the_share_of_the_paths_that_say_it_there() -> None:
    timed = time_words(make_lattice(0.0), SYMBOLS, SPELLINGS, np.array([1.0, 0.0]), torch.arange(3))
    assert [word.confidence for word in timed] == pytest.approx([0.8, 0.7], abs=1.5 / PATHS)
    assert [(word.first, word.last) for word in timed] == [(0, 0), (1, 1)]


def test_confidences_are_those_of_the_weights() -> None:
    # At LM scale 2, "A C" has 4 times its acoustic score: 0.5 : 1.2 : 0.2.
    timed = time_words(make_lattice(math.log(2)), SYMBOLS, SPELLINGS, np.array([2.0, 0.0]), torch.arange(3))
    expected = [1.7 / 1.9, 1.2 / 1.9]
    assert [word.confidence for word in timed] == pytest.approx(expected, abs=1.5 / PATHS)
    # A bonus of ln 2 a word makes "B" half as likely against the others.
    timed = time_words(make_lattice(0.0), SYMBOLS, SPELLINGS, np.array([1.0, math.log(2)]), torch.arange(3))
    assert [word.confidence for word in timed] == pytest.approx([1.6 / 1.8, 1.2 / 1.8], abs=1.5 / PATHS)


def test_words_go_from_their_first_units_frame_to_their_lasts() -> None:
    # Two spellings of C; blanks inside a word are its own, those around it nobody's.
    path = [0, 1, 1, 0, 1, 0, 0, 3, 3, 2, 0]
    assert word_spans(path, ["C", "C", "B"], SPELLINGS) == [(1, 4), (7, 8), (9, 9)]
    assert word_spans(path, ["A", "A", "C", "B"], SPELLINGS) == [(1, 2), (4, 4), (7, 8), (9, 9)]
    assert word_spans([0, 0], [], SPELLINGS) == []
    with pytest.raises(UserError, match="other units than those of B"):
        word_spans(path, ["B"], SPELLINGS)


@pytest.mark.parametrize("threshold", [None, 0.99])
def test_times_are_the_utterances_own_where_blanks_are_skipped(
    tmp_path: Path, threshold: Optional[float]
) -> None:
    blanks = ["<blk>"] * 3
    names = [*blanks, "R", "EH", "EH", "D", *blanks, "B", "UH", *blanks[1:], "K", *blanks[1:]]
    graph, units = build(tmp_path), make_units()
    config = DecodeConfig(methods=("1best",), blank_skip_threshold=threshold)
    decoder = UtteranceDecoder(config, units, graph)
    log_probs = torch.full((len(names), len(units)), -14.0)
    log_probs[range(len(names)), [units.ids[name] for name in names]] = 0.0
    chosen = {"1best": np.array([[1.0, 0.0]])}
    nbest, _ = decoder.decode("u1", log_probs, chosen)["1best"]
    assert nbest.words[0][1] == "BOOK"
    assert [word[:2] for word in nbest.timed] == [(3, 6), (10, 14)]
    assert nbest.timed[1].confidence == 1.0
    # Weights that are still to be chosen have no confidences.
    grid = {"1best": np.array([[1.0, 0.0], [0.5, 0.0]])}
    assert decoder.decode("u1", log_probs, grid)["1best"][0].timed == ()
    assert decoder.decode("u1", log_probs[:0], chosen)["1best"][0].timed == ()


def test_times_outlive_a_shard(tmp_path: Path) -> None:
    timed = (TimedWord(3, 6, 0.25), TimedWord(10, 14, 1.0))
    write_lists(tmp_path / "s", {"1best/u1": NBest([["A", "B"]], np.zeros((1, 3)), "lattice", timed)}, {})
    assert read_lists(tmp_path / "s")[0]["1best/u1"].timed == timed

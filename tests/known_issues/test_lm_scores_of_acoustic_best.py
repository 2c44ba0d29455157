"""In n-best lists, what was best only at LM scale 0 had the LM score of a path that backs off everywhere.

At that scale all paths of the same words tie, and another score was then weighed when the list was rescored.
"""

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import DecodeConfig  # noqa: E402
from tests.decode.test_methods import decode  # noqa: E402

# log10, of the graph's model in tests.graph.test_compile
SCORES = {"READ BOOK": -0.1 - 0.6 - 0.1 - 0.4, "RED BOOK": -0.3 - 0.1 - 0.9 - 0.4}


@pytest.mark.parametrize("scales", [(0.1, 0.5), (1.5,)])
def test_each_hypothesis_has_the_score_of_its_best_path(tmp_path: Path, scales: "tuple[float, ...]") -> None:
    config = DecodeConfig(methods=("nbest-oracle",), lm_scales=scales, word_bonuses=(0.0,))
    found = decode(tmp_path, config, [["R"], ["EH"], ["D"], ["B"], ["UH"], ["K"]])["nbest-oracle"]
    rows = {" ".join(words): row for words, row in zip(found.words, found.scores)}
    assert set(SCORES) <= set(rows)
    for words, score in SCORES.items():
        assert rows[words][1] == pytest.approx(math.log(10) * score, abs=0.02), words
    assert len(found.words) == len({tuple(words) for words in found.words})
    assert np.isfinite(found.scores).all()

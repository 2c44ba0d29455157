"""whole-lattice-rescoring removed words that the larger model lacks without a warning, and if no path was
left, it fell back to greedy."""

import math
from pathlib import Path
from typing import Dict

import numpy as np
import pytest
import torch

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytest.importorskip("kenlm", reason="kenlm isn't installed")
pytestmark = pytest.mark.k2

from asrkit.config import DecodeConfig  # noqa: E402
from asrkit.config.methods import LARGER_LM, WORDS  # noqa: E402
from asrkit.decode.methods import UtteranceDecoder, make_ngram_scorer  # noqa: E402
from asrkit.decode.nbest import NBest  # noqa: E402
from asrkit.errors import UserError  # noqa: E402
from tests.graph.test_compile import build, make_units  # noqa: E402

# Without BOOK and BOOKED
LARGER = """\\data\\
ngram 1=5
ngram 2=2

\\1-grams:
-99\t<s>\t-0.1
-2.0\t<unk>\t-0.2
-1.0\t</s>\t0
-0.6\tREAD\t-0.3
-0.5\tRED\t-0.1

\\2-grams:
-0.1\t<s> READ
-0.2\tRED <unk>

\\end\\
"""
WITHOUT = LARGER.replace("ngram 1=5", "ngram 1=4").replace("-2.0\t<unk>\t-0.2\n", "").replace("<unk>", "READ")


def decode(folder: Path, larger: str) -> Dict[str, NBest]:
    graph, units = build(folder), make_units()
    (folder / "larger.arpa").write_text(larger)
    methods = ("1best", "whole-lattice-rescoring")
    files = {WORDS: folder / "words.txt", LARGER_LM: folder / "larger.arpa"}
    decoder = UtteranceDecoder(DecodeConfig(methods=methods), units, graph, files)
    names = ["R", "EH", "D", "B", "UH", "K", "D", "<blk>"]
    log_probs = torch.full((len(names), len(units)), -14.0)
    log_probs[range(len(names)), [units.ids[name] for name in names]] = 0.0
    points = {method: np.array([[0.1, 0.0], [1.0, 0.0]]) for method in methods}
    return {method: nbest for method, (nbest, _) in decoder.decode("u1", log_probs, points).items()}


def test_words_that_it_lacks_have_the_scores_of_unk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = decode(tmp_path, LARGER)["whole-lattice-rescoring"]
    line = "2 words that larger.arpa lacks are scored as <unk>: BOOK, BOOKED\n"
    assert capsys.readouterr().out.endswith(line)
    assert found.outcome == "lattice"
    assert found.best([1.0, 0.0]) == ["RED", "BOOKED"]
    expected = make_ngram_scorer(tmp_path / "larger.arpa")(found.words)
    assert found.scores[:, 1] == pytest.approx(expected, abs=1e-4)
    assert float(expected[found.words.index(["RED", "BOOKED"])]) == pytest.approx(-2.0 * math.log(10))


def test_a_lattice_without_allowed_paths_is_not_rescored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = decode(tmp_path, WITHOUT)
    assert "BOOK, BOOKED" in capsys.readouterr().out
    plain, rescored = found["1best"], found["whole-lattice-rescoring"]
    assert rescored.outcome == "unrescored"
    assert rescored.words == plain.words and (rescored.scores == plain.scores).all()


def test_a_model_of_other_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of the words of the lexicon"):
        decode(tmp_path, LARGER.replace("READ", "read").replace("RED", "red"))

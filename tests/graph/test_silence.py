import math
from pathlib import Path
from typing import List

import numpy as np
import pytest
import torch
from click.testing import CliRunner

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.cli.graph import command  # noqa: E402
from asrkit.config import DecodeConfig, GraphConfig, UnitsConfig  # noqa: E402
from asrkit.decode.methods import UtteranceDecoder  # noqa: E402
from asrkit.errors import UserError  # noqa: E402
from asrkit.graph.compile import make_graph  # noqa: E402
from asrkit.graph.store import load_graph  # noqa: E402
from asrkit.text.units import Units, build_units  # noqa: E402

# Without <s> the graph's first state is one that words lead to.
ARPA = "\\data\\\nngram 1=3\n\n\\1-grams:\n-0.5\t</s>\n-0.4\tNO\n-0.3\tYES\n\n\\end\\\n"
SILENT = GraphConfig(optional_silence="SIL", silence_probability=0.2)


def make_units(folder: Path) -> Units:
    (folder / "lexicon.txt").write_text("NO N OW\nYES Y EH S\n<SIL> SIL\n")
    (folder / "lm.arpa").write_text(ARPA)
    return build_units(UnitsConfig(kind="phones"), ["YES NO"], folder / "units", folder / "lexicon.txt")


@pytest.mark.parametrize(
    ("frames", "spans", "probability"),
    [
        (["Y", "EH", "S", "N", "OW"], [(0, 2), (3, 4)], 0.8**3),
        (["SIL", "Y", "EH", "S", "SIL", "SIL", "N", "<blk>", "OW"], [(1, 3), (6, 8)], 0.2**2 * 0.8),
        (["<blk>", "SIL", "Y", "EH", "S", "N", "OW", "<blk>", "SIL"], [(2, 4), (5, 6)], 0.2**2 * 0.8),
    ],
)
def test_silence_costs_its_probability_and_is_not_part_of_words(
    tmp_path: Path, frames: List[str], spans: List["tuple[int, int]"], probability: float
) -> None:
    units = make_units(tmp_path)
    graph = make_graph(tmp_path / "units", tmp_path / "lm.arpa", SILENT)
    decoder = UtteranceDecoder(DecodeConfig(methods=("1best",)), units, graph)
    log_probs = torch.full((len(frames), len(units)), -200.0)
    log_probs[range(len(frames)), [units.ids[name] for name in frames]] = 0.0
    nbest, _ = decoder.decode("u1", log_probs, {"1best": np.array([[1.0, 0.0]])})["1best"]
    assert nbest.words == [["YES", "NO"]]
    assert nbest.scores[0, 1] == pytest.approx(-1.2 * math.log(10) + math.log(probability), abs=1e-4)
    assert [word[:2] for word in nbest.timed] == spans


def test_lg_as_text_composed_with_a_topology_scores_as_hlg(tmp_path: Path) -> None:
    units = make_units(tmp_path)
    (tmp_path / "lm").mkdir()
    (tmp_path / "lm.arpa").rename(tmp_path / "lm" / "lm.arpa")
    settings = "graph: {optional_silence: SIL, silence_probability: 0.2}"
    (tmp_path / "recipe.yaml").write_text(f"name: x\ncorpus: {{module: yesno}}\n{settings}\n")
    result = CliRunner().invoke(command, ["lg", str(tmp_path), "--output", str(tmp_path / "LG.txt")])
    assert result.exception is None, result.exception
    lg = k2.Fsa.from_openfst((tmp_path / "LG.txt").read_text(), acceptor=False)
    hlg = k2.connect(k2.compose(k2.ctc_topo(len(units) - 1), k2.arc_sort(lg)))
    made = make_graph(tmp_path / "units", tmp_path / "lm" / "lm.arpa", SILENT).fst
    log_probs = torch.randn(1, 9, len(units), generator=torch.manual_seed(1)).log_softmax(dim=-1)
    dense = k2.DenseFsaVec(log_probs, torch.tensor([[0, 0, 9]], dtype=torch.int32))
    scores = [
        float(k2.intersect_dense(k2.Fsa.from_fsas([fst]), dense, 1e3).get_tot_scores(True, False))
        for fst in (hlg, made)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    file = tmp_path / "LG.safetensors"
    CliRunner().invoke(command, ["lg", str(tmp_path), "--output", str(file)])
    assert load_graph(file).made_of["optional_silence"] == "SIL"


def test_silence_that_is_no_unit_is_refused(tmp_path: Path) -> None:
    make_units(tmp_path)
    with pytest.raises(UserError, match="optional_silence is SPN, which is no unit") as caught:
        make_graph(tmp_path / "units", tmp_path / "lm.arpa", GraphConfig(optional_silence="SPN"))
    assert caught.value.expected == "one of EH N OW S SIL Y" and "<SIL> SPN" in caught.value.todo

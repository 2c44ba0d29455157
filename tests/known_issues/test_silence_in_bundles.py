"""With a bundle whose graph has optional silence, 1best refused every utterance with that unit."""

from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import numpy as np
import pytest
import torch

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import GraphConfig  # noqa: E402
from asrkit.config.load import load_config  # noqa: E402
from asrkit.config.recipe import FeaturesConfig  # noqa: E402
from asrkit.graph import hubs  # noqa: E402
from asrkit.graph.compile import make_graph  # noqa: E402
from asrkit.graph.silence import find_silence  # noqa: E402
from asrkit.graph.store import DecodingGraph  # noqa: E402
from asrkit.recognise import opening  # noqa: E402
from asrkit.recognise.bundle import FORMAT, Bundle, write_bundle  # noqa: E402
from asrkit.recognise.openfst import write_graph  # noqa: E402
from asrkit.recognise.opening import MethodSearcher, open_recognizer, optional_silence  # noqa: E402
from asrkit.text.units import Units  # noqa: E402
from tests.graph.test_silence import SILENT, make_units  # noqa: E402

# With the silence word in the language model: its arcs have the same unit as optional silence
ARPA = (
    "\\data\\\nngram 1=4\nngram 2=1\n\n\\1-grams:\n-0.5\t</s>\n-0.6\tNO\t-0.1\n-0.6\tYES\t0.0\n"
    "-0.9\t<SIL>\t0.0\n\n\\2-grams:\n-0.2\tNO <SIL>\n\n\\end\\\n"
)


@pytest.fixture
def searchers(monkeypatch: pytest.MonkeyPatch) -> List[MethodSearcher]:
    """The searches of the recognisers that are opened."""
    found: List[MethodSearcher] = []

    class Kept(MethodSearcher):
        def __init__(self, *given: object) -> None:
            super().__init__(*given)  # type: ignore[arg-type]
            found.append(self)

    monkeypatch.setattr(opening, "MethodSearcher", Kept)
    monkeypatch.setattr(opening, "OnnxEncoder", lambda *_: None)
    return found


def make_bundle(folder: Path, graph: DecodingGraph, units: Units, silence: Optional[str]) -> Path:
    """A bundle without a model."""
    bundle = folder / "bundle"
    bundle.mkdir()
    arcs, words = graph.fst.arcs.values().numpy(), graph.fst.aux_labels.numpy()
    write_graph(bundle / "HLG.fst", arcs, words)
    for name, exported in (("units", "tokens"), ("words", "words"), ("lexicon", "lexicon")):
        (bundle / f"{exported}.txt").write_bytes((folder / "units" / f"{name}.txt").read_bytes())
    (bundle / "model.onnx").write_bytes(b"")
    features = FeaturesConfig()
    described = Bundle(FORMAT, "b", features, 0.04, 4, len(units), "phones", {}, {}, {}, silence=silence)
    write_bundle(bundle, described)
    return bundle


def sure_of(frames: Sequence[str], units: Units) -> torch.Tensor:
    log_probs = torch.full((len(frames), len(units)), -200.0)
    log_probs[range(len(frames)), [units.ids[name] for name in frames]] = 0.0
    return log_probs


@pytest.mark.parametrize("silence", ["SIL", None])  # None: by an earlier version, which didn't store it
def test_1best_times_words_between_silence(
    tmp_path: Path, searchers: List[MethodSearcher], silence: Optional[str]
) -> None:
    units = make_units(tmp_path)
    graph = make_graph(tmp_path / "units", tmp_path / "lm.arpa", SILENT)
    recognizer = open_recognizer(make_bundle(tmp_path, graph, units, silence))
    assert recognizer.units.silence == units.ids["SIL"]  # for hotwords, too
    frames = ["SIL", "Y", "EH", "S", "SIL", "SIL", "N", "<blk>", "OW", "SIL"]
    found = searchers[0](sure_of(frames, units), None, 0.0)
    times = [(word.word, round(word.start, 2), round(word.end, 2)) for word in found.words]
    assert times == [("YES", 0.04, 0.16), ("NO", 0.24, 0.36)]


def test_a_bundle_without_silence_has_none(tmp_path: Path, searchers: List[MethodSearcher]) -> None:
    units = make_units(tmp_path)
    graph = make_graph(tmp_path / "units", tmp_path / "lm.arpa", GraphConfig())
    assert open_recognizer(make_bundle(tmp_path, graph, units, "")).units.silence is None


@pytest.mark.parametrize("topology", ["standard", "modified"])
@pytest.mark.parametrize("fewest", [1, 48])  # 1: every state is a hub
def test_optional_silence_is_distinguished_from_the_silence_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, topology: str, fewest: int
) -> None:
    monkeypatch.setattr(hubs, "FEWEST", fewest)
    units = make_units(tmp_path)
    (tmp_path / "lm.arpa").write_text(ARPA)
    spellings = [[units.ids[unit] for unit in entry.units] for entry in units.lexicon]

    def found(silence: Optional[str]) -> Optional[int]:
        config = GraphConfig(topology=topology, optional_silence=silence)  # type: ignore[arg-type]
        fst = make_graph(tmp_path / "units", tmp_path / "lm.arpa", config).fst
        table: np.ndarray = fst.arcs.values().numpy()
        return find_silence(table, fst.aux_labels.numpy(), spellings)

    assert found("SIL") == units.ids["SIL"]
    assert found(None) is None


@pytest.mark.parametrize(
    ("settings", "silence"),
    [((), None), (("graph.optional_silence=SIL",), "SIL"), (("train.optional_silence=SIL",), "SIL")],
)
def test_the_unit_is_that_of_the_graph_or_of_training(
    tmp_path: Path, settings: Tuple[str, ...], silence: Optional[str]
) -> None:
    (tmp_path / "recipe.yaml").write_text("name: x\ncorpus: {module: yesno}\ntrain: {ctc: k2}\n")
    assert optional_silence(load_config(tmp_path / "recipe.yaml", None, settings)) == silence

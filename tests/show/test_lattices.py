"""Stored lattices on the page, and beams tried on dev."""

import dataclasses

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.cli import show  # noqa: E402
from asrkit.decode.search import Searched, prepare_graph, search_lattice, write_lattices  # noqa: E402
from asrkit.decode.shards import write_shard  # noqa: E402
from asrkit.errors import UserError  # noqa: E402
from asrkit.graph.store import save_graph  # noqa: E402
from asrkit.pipeline.experiment import Experiment  # noqa: E402
from asrkit.show import stored  # noqa: E402
from asrkit.show.beams import sweep_beams  # noqa: E402
from asrkit.show.data import collect  # noqa: E402
from tests.decode.test_search import make_graph, posteriors  # noqa: E402
from tests.show.conftest import REFERENCES  # noqa: E402

SYMBOLS = ["<eps>", "GO", "NOW", "TEN"]  # instead of LEFT, RIGHT, TURN
ABOUT = {"made_of": "", "seconds": 1.0, "audio_seconds": 5.0}


def store_posteriors(experiment: Experiment, split: str, of_second: float) -> None:
    shard = {f"log_probs/{key}": posteriors(2, of_second) for key in REFERENCES}
    write_shard(experiment.directory / "posteriors" / split / "00000.safetensors", shard, ABOUT)


def test_the_stored_lattice_is_drawn(experiment: Experiment) -> None:
    store_posteriors(experiment, "test", 0.4)
    words = "".join(f"{word} {at}\n" for at, word in enumerate(SYMBOLS))
    (experiment.folder("units") / "words.txt").write_text(words)
    fst, config = prepare_graph(make_graph()), experiment.config.decode
    lattices = {}
    for key in ("u1", "u2"):
        outcome, lattice = search_lattice(fst, key, posteriors(2, 0.4), config)
        lattices[key] = Searched(outcome, lattice, 0.1)
    write_lattices(experiment.directory / "lattices" / "test" / "00000.safetensors", lattices, "")
    page = collect({"tiny": experiment})
    assert page.main["notes"] == ["test: lattices not available for 3 of 5 utterances"]
    graph = page.details[0]["systems"][0]["graph"]
    # At language model scale 0.5 and word insertion bonus 1: GO, NOW, and TEN GO
    paths = np.array([0.55**2 * np.exp(0.5), 0.4**2 * np.exp(-0.5), 0.05 * 0.55 * np.exp(1.0)])
    go, now, ten_go = paths / paths.sum()
    assert graph["source"] == "lattice"
    found = {word: posterior for word, _, posterior in graph["nodes"] if word}
    assert found == pytest.approx({"GO": go + ten_go, "NOW": now, "TEN": ten_go}, abs=2e-3)
    end = len(graph["nodes"]) - 1
    assert graph["nodes"][end][:2] == ["", pytest.approx(0.08)]  # two frames of 40 ms
    assert page.details[2]["systems"][0]["graph"]["source"] == "n-best list"


def test_beams_are_tried_on_dev(experiment: Experiment) -> None:
    with pytest.raises(UserError, match="no first pass"):
        sweep_beams(experiment, [2.0])
    graph = dataclasses.replace(make_graph(), words=SYMBOLS)
    save_graph(experiment.folder("graph") / "HLG.safetensors", graph)
    store_posteriors(experiment, "dev", 0.01)
    rows = sweep_beams(experiment, [2.0, 4.0])
    own = experiment.config.decode.search_beam
    assert [(row["beam"], row["chosen"]) for row in rows] == [(2.0, False), (4.0, False), (own, True)]
    only_go = stored.evaluate_method(experiment, "dev", "greedy", "word").total  # GO for all of them
    assert [(row["errors"], row["reference"]) for row in rows] == [(only_go.errors, only_go.reference)] * 3
    for wrong in ("4,x", "0", "nan"):
        done = CliRunner().invoke(show.command, [str(experiment.directory), "--beams", wrong])
        assert isinstance(done.exception, UserError)

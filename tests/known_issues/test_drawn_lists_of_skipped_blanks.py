"""asrkit show aligned the paths drawn from a lattice also with blank frames that the search had skipped.

Their acoustic scores were of other frames, so the n-best list didn't begin with the 1best transcript.
"""

import dataclasses
import math

import msgspec
import pytest
import torch

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.decode.search import (  # noqa: E402
    Searched,
    prepare_graph,
    search_lattice,
    skip_blanks,
    write_lattices,
)
from asrkit.decode.shards import write_shard  # noqa: E402
from asrkit.graph.store import DecodingGraph  # noqa: E402
from asrkit.pipeline.experiment import Experiment  # noqa: E402
from asrkit.show import stored  # noqa: E402
from tests.show.conftest import experiment  # noqa: E402

__all__ = ["experiment"]

SYMBOLS = ["<eps>", "GO", "NOW"]
# NOW, or NOW GO at a graph score of -3, with blanks anywhere
PATHS = """0 0 0 0 0
0 1 2 2 0
1 1 0 0 0
1 2 1 1 -3.0
1 3 -1 -1 0
2 2 0 0 0
2 3 -1 -1 0
3"""
BLANK, SOUND_OF_NOW, SOUND_OF_GO = [0.9998, 1e-4, 1e-4], [0.05, 0.05, 0.9], [0.05, 0.9, 0.05]


def test_a_drawn_list_begins_with_the_1best_transcript(experiment: Experiment) -> None:
    decode = msgspec.structs.replace(experiment.config.decode, methods=("greedy", "1best"))
    config = msgspec.structs.replace(experiment.config, decode=decode)
    experiment = dataclasses.replace(experiment, config=config)
    words = "".join(f"{word} {at}\n" for at, word in enumerate(SYMBOLS))
    (experiment.folder("units") / "words.txt").write_text(words)

    log_probs = torch.tensor([SOUND_OF_NOW, *[BLANK] * 6, SOUND_OF_GO]).log()
    write_shard(
        experiment.directory / "posteriors" / "test" / "00000.safetensors",
        {"log_probs/u1": log_probs},
        {"made_of": "", "seconds": 1.0, "audio_seconds": 5.0},
    )
    shorter = skip_blanks(log_probs, decode.blank_skip_threshold)
    assert len(shorter) == 3
    graph = DecodingGraph(k2.arc_sort(k2.Fsa.from_str(PATHS, num_aux_labels=1)), SYMBOLS, {})
    outcome, lattice = search_lattice(prepare_graph(graph), "u1", shorter, decode)
    lattices = {"u1": Searched(outcome, lattice, 0.1)}
    write_lattices(experiment.directory / "lattices" / "test" / "00000.safetensors", lattices, "")

    ((key, nbest),) = stored.iterate_nbest(experiment, "test", ["u1"])
    assert (key, [each.words for each in nbest.candidates]) == ("u1", [["NOW", "GO"], ["NOW"]])
    blanks = 6 * math.log(0.9998)
    expected = [[blanks + 2 * math.log(0.9), -3.0, 2.0], [blanks + math.log(0.9 * 0.05), 0.0, 1.0]]
    assert [each.scores for each in nbest.candidates] == [pytest.approx(row, abs=1e-2) for row in expected]

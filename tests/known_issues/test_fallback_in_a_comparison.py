"""benchmarks/language_models.py failed with an IndexError if an utterance had fallen back to greedy."""

import importlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytest.importorskip("lhotse")

from asrkit.decode.nbest import NBest, write_lists
from asrkit.pipeline.experiment import REPOSITORY, Experiment
from asrkit.signal import features
from tests.pipeline.toy import settings


def test_it_has_scores_of_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    benchmark = importlib.import_module("language_models")
    monkeypatch.setattr(features, "load_cuts", lambda *_: [])
    lists = {
        f"{benchmark.LISTS[0]}/u1": NBest([["A"], ["B"]], np.arange(8.0).reshape(2, 4), "lattice"),
        f"{benchmark.LISTS[0]}/u2": NBest([["A"]], np.zeros((1, 3)), "greedy"),
    }
    about = {"audio_seconds": 1.0, "made_of": ""}
    write_lists(tmp_path / "decode" / "dev" / "nbest-00000.safetensors", lists, about)
    split = benchmark.read_split(Experiment(settings(), tmp_path, tmp_path, tmp_path, 1), "dev", "3", "4")
    assert split.scores["4"]["u1"].tolist() == [3.0, 7.0] and split.scores["4"]["u2"].tolist() == [0.0]
    assert split.weighed(["3", "4"])["u2"].scores.shape == (1, 4)

"""yesno with other criteria, from training to scores."""

import json
from typing import Any, Dict

import msgspec
import pytest

from asrkit.config.checks import conflicts
from asrkit.config.recipe import RecipeConfig
from asrkit.storage.files import read_jsonl
from tests.known_issues.conftest import Finished, finished_yesno, yesno

__all__ = ["finished_yesno", "yesno"]
pytestmark = pytest.mark.k2


def test_lf_mmi_is_trained_chosen_and_decoded(yesno: Finished) -> None:
    settings = ["train.criterion=lf-mmi", "train.ctc=k2", "train.epochs=1"]
    printed = yesno.run("--stage", "train", "--stop-stage", "score", settings=settings)
    assert "the denominator has 10 pairs of units" in printed  # all transcripts begin with NO
    rows = read_jsonl(yesno.exp / "train" / "log.jsonl")
    choice = json.loads((yesno.exp / "average" / "choice.json").read_text())
    assert choice["tried"][0]["loss"] == pytest.approx(rows[0]["loss"], rel=1e-4)
    assert {row["method"] for row in json.loads((yesno.exp / "results.json").read_text())} == {
        "greedy",
        "1best",
    }
    assert "fresh" in yesno.run("--status", settings=settings)


def test_a_transducer_is_trained_chosen_decoded_and_exported(yesno: Finished) -> None:
    methods = "decode.methods=[1best,transducer-greedy,fast-beam-search]"
    settings = ["train.criterion=transducer", "model.transducer=true", "train.epochs=1", methods]
    yesno.run("--stage", "train", settings=settings)
    results = json.loads((yesno.exp / "results.json").read_text())
    assert {row["method"] for row in results} == {"1best", "transducer-greedy", "fast-beam-search"}
    assert (yesno.exp / "export" / "joiner.onnx").is_file()
    dev = [row for row in results if row["method"] == "transducer-greedy" and row["set"] == "dev"]
    rows = read_jsonl(yesno.exp / "train" / "log.jsonl")
    assert dev[0]["errors"] == rows[0]["errors"]  # the log has the transducer's


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"model": {"transducer": True}}, "model.transducer is true, and train.criterion ctc"),
        ({"train": {"criterion": "transducer"}}, "model.transducer is false, and train.criterion transducer"),
        ({"train": {"topology": "modified"}}, "train.topology is set, and train.ctc is torch"),
        ({"decode": {"methods": ["fast-beam-search"]}}, "decode.methods has fast-beam-search"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: Dict[str, Any], found: str) -> None:
    config = msgspec.convert({"name": "x", "corpus": {"module": "x"}, **settings}, RecipeConfig)
    assert [conflict.found[: len(found)] for conflict in conflicts(config)] == [found]

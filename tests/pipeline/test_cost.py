"""cost.json."""

import json
from pathlib import Path
from typing import Optional

from asrkit.pipeline.cost import write_cost, write_facts
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.record import Record
from tests.pipeline.toy import settings


def record(seconds: float, peak_bytes: int, device: Optional[str]) -> Record:
    """A record of a stage that cost so much."""
    return Record("", {}, {}, {}, 1, {}, {}, 0.0, seconds, peak_bytes, 0, [], device)


def test_facts_and_stages_are_merged(tmp_path: Path) -> None:
    experiment = Experiment(settings(), tmp_path, tmp_path, tmp_path, 1)
    write_facts(experiment, "train", parameters=1800000, audio_hours=0.5)
    assert not (tmp_path / "cost.json").exists()  # it may never finish
    training, decoding = record(12.3456, 5_000_000, "NVIDIA H100"), record(1.5, 6_000_000, None)
    write_cost(experiment, {"train": training}, "train")
    write_cost(experiment, {"train": training, "decode": decoding}, "decode")
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert cost["parameters"] == 1800000
    assert cost["audio_hours"] == 0.5
    assert cost["stages"]["train"] == {"seconds": 12.346, "peak_bytes": 5_000_000, "device": "NVIDIA H100"}
    assert cost["stages"]["decode"]["seconds"] == 1.5
    assert cost["device"] == "NVIDIA H100"  # that of training
    assert {"cores", "commit", "configuration"} <= set(cost)


def test_a_repair_keeps_what_is_known(tmp_path: Path) -> None:
    experiment = Experiment(settings(), tmp_path, tmp_path, tmp_path, 1)
    file = tmp_path / "cost.json"
    old, new = record(1.0, 5, "a processor elsewhere"), record(2.0, 5, None)
    write_cost(experiment, {"train": old}, "train")
    before = file.read_bytes()
    write_cost(experiment, {"train": record(1.0, 5, None)})
    assert file.read_bytes() == before  # it ran on another machine
    write_cost(experiment, {"train": new})  # as after a kill before cost.json was written
    cost = json.loads(file.read_text())
    assert cost["stages"]["train"]["seconds"] == 2.0 and cost["commit"] == json.loads(before)["commit"]
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "facts.json").write_text("{")
    write_cost(experiment, {"train": new})  # the facts are unknown

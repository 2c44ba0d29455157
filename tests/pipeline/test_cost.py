"""cost.json."""

import json
from pathlib import Path
from typing import Optional

from asrkit.pipeline.cost import add_stage, write_facts
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
    add_stage(experiment, "train", record(12.3456, 5_000_000, "NVIDIA H100"), "abc")
    add_stage(experiment, "decode", record(1.5, 6_000_000, None), "abc")
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert cost["parameters"] == 1800000
    assert cost["audio_hours"] == 0.5
    assert cost["stages"]["train"] == {"seconds": 12.346, "peak_bytes": 5_000_000, "device": "NVIDIA H100"}
    assert cost["stages"]["decode"]["seconds"] == 1.5
    assert cost["device"] == "NVIDIA H100"  # that of training
    assert cost["commit"] == "abc" and {"cores", "configuration"} <= set(cost)

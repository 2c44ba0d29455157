"""asrkit plan: what is computed, what is extrapolated from records, what isn't known."""

import json
from pathlib import Path
from typing import Any, Dict, List

import pytest
from click.testing import CliRunner

from asrkit.cli.plan import command
from asrkit.errors import UserError

RESULT = {"set": "test", "role": "test", "method": "greedy", "rtf": 0.01}
ABSENT = ("unit", "errors", "reference", "insertions", "deletions", "substitutions", "rate", "interval")
ABSENT += ("confidence", "utterances", "rejected", "lost", "fallbacks", "settings", "speakers")
COST = {
    "stages": {name: {"seconds": s, "peak_bytes": 10**9} for name, s in (("features", 36), ("train", 3600))},
    "audio_hours": 10.0,
    "cores": 2,
    "device": "a processor",
}
SETTINGS = """
name: planned
corpus: {module: planned, train_sets: [one, two]}
train: {epochs: 20}
model: {stage_channels: [8, 8, 8, 8], stem_channels: 8, attention_blocks: 1, attention_dim: 32}
"""
HOURS = {name: {"hours": hours} for name, hours in (("one", 30), ("two", 70), ("dev", 3), ("test", 2))}


@pytest.fixture
def folders(tmp_path: Path) -> List[str]:
    """A recipe of 100 hours, and records of one with the same model that trained 10 epochs of 10 hours."""
    files: Dict[str, Any] = {
        "recipe/recipe.yaml": SETTINGS,
        "recipe/expect.json": json.dumps(HOURS),
        "records/recipe.yaml": SETTINGS.replace("epochs: 20", "epochs: 10"),
        "records/cost.json": json.dumps(COST),
        "records/results.json": json.dumps([{**dict.fromkeys(ABSENT), **RESULT}]),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return ["--recipe", str(tmp_path / "recipe"), "--measured", str(tmp_path / "records")]


def plan(*arguments: str) -> List[str]:
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def test_hours_disk_and_where_they_are_from(folders: List[str]) -> None:
    lines = plan(*folders, "--set", "features.speed_factors=[1.0, 0.5]", "--units", "50")
    assert lines[:2] == [
        "planned: train 100.0 h, dev 3.0 h, test 2.0 h, as published (expect.json)",
        "an epoch: 300.0 h, at 2 speeds",
    ]
    rows = {line.split()[0]: line.split(None, 4) for line in lines}
    assert rows["features"][1:4] == ["17.6", "GB", "0.3"]  # 305 h x 57.6 MB; at 1000 audio s/s
    assert rows["train"][3] == "60.0"  # 20 epochs of 300 h at 100 audio s/s
    assert "extrapolated by multiply-adds: 100.0" in rows["train"][4]
    assert "hlg not measured" in lines[-2]
    assert "0.1  measured greedy RTF 0.01" in lines[-2]  # 5 h of dev and test


def test_a_given_speed_and_hours_of_an_experiment(folders: List[str], tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    splits = {name: {"seconds": 3600.0} for name in ("train", "dev", "test")}
    (tmp_path / "manifests" / "statistics.json").write_text(json.dumps({"splits": splits}))
    lines = plan(*folders, "--exp", str(tmp_path), "--train-speed", "1000", "--set", "train.epochs=1000")
    assert "train 1.0 h, dev 1.0 h, test 1.0 h, of" in lines[0]
    (train,) = [line for line in lines if line.startswith("train ")]
    assert train.split()[3:] == ["3.0", "given", "1,000", "audio", "s/s"]


def test_hours_that_nobody_published_are_asked_for(folders: List[str]) -> None:
    with pytest.raises(UserError, match=r"(?s)no hours of three.*--exp"):
        plan(*folders, "--set", "corpus.train_sets=[one, three]")

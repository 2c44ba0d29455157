"""asrkit plan: estimates follow from hours, multiply-adds and recorded times."""

import json
from pathlib import Path
from typing import Any, Dict, List

import pytest
from click.testing import CliRunner

from asrkit.cli.plan import command
from asrkit.errors import UserError

COUNTS = ("errors", "reference", "insertions", "deletions", "substitutions", "utterances", "rejected", "lost")
RESULT = {
    **dict.fromkeys(COUNTS, 0),
    "set": "test",
    "role": "test",
    "method": "greedy",
    "unit": "word",
    "rtf": 0.01,
    "rate": 0.0,
    "interval": [0.0, 0.0],
    "interval_by_speaker": None,
    "normalise": [],
    "calibration": None,
    **{key: {} for key in ("settings", "fallbacks", "speakers", "lengths", "snr", "confusions")},
    "confidence": 0.95,
}
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
        "records/results.json": json.dumps([RESULT]),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return ["--recipe", str(tmp_path / "recipe"), "--measured", str(tmp_path / "records")]


def plan(*arguments: str) -> List[str]:
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def test_disk_and_hours_are_extrapolated_from_records(folders: List[str]) -> None:
    assert plan(*folders, "--set", "features.speed_factors=[1.0, 0.5]")[0::2] == [
        "audio: train 100.0 h, dev 3.0 h, test 2.0 h (expect.json)",
        "features: 17.6 GB, 0.3 h",  # 305 h x 57.6 MB; at 1000 seconds of audio per second
        "decode, greedy: 0.05 h at RTF 0.01",  # 5 h of dev and test
    ]
    lines = plan(*folders, "--set", "features.speed_factors=[1.0, 0.5]")
    assert lines[3] == (  # 20 epochs of 300 h at 100 seconds of audio per second
        "train: 60.0 h for 20 epochs of 300.0 h, at 100.0 seconds of audio per second "
        "(planned on 2 cores, a processor)"
    )
    assert lines[5] == "decode, 1best: not measured"
    twice = plan(*folders, "--set", "train.consistency_weight=0.2", "--set", "features.speed_factors=[1.0]")
    assert twice[3].startswith("train: 40.0 h for 20 epochs of 100.0 h, at 50.0 ")


def test_training_speed_can_be_given(folders: List[str]) -> None:
    train = plan(*folders, "--throughput", "1000", "--set", "features.speed_factors=[1.0]")[3]
    assert train.startswith("train: 2.0 h for 20 epochs of 100.0 h, at 1,000.0 ")
    assert train.endswith("(--throughput)")


def test_a_recipe_without_counts(folders: List[str]) -> None:
    (Path(folders[1]) / "expect.json").unlink()
    with pytest.raises(UserError, match=r"no expect\.json"):
        plan(*folders)


def test_the_records_of_an4_are_found_from_any_folder(
    folders: List[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "(an4 on 2 cores" in plan(*folders[:2])[3]


def test_sets_without_published_hours_are_named(folders: List[str]) -> None:
    with pytest.raises(UserError, match="no hours for three"):
        plan(*folders, "--set", "corpus.train_sets=[one, three]")

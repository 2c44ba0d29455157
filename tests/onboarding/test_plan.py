"""asrkit plan: what is computed, what is extrapolated from records, what isn't known."""

import json
import re
from pathlib import Path
from typing import Any, Dict, List

import pytest
from click.testing import CliRunner

from asrkit.cli.plan import command
from asrkit.errors import UserError

COUNTS = ("errors", "reference", "insertions", "deletions", "substitutions", "utterances", "rejected", "lost")
RESULT = {
    **{key: {} for key in ("fallbacks", "settings", "speakers")},
    **dict.fromkeys(COUNTS, 0),
    "set": "test",
    "role": "test",
    "method": "greedy",
    "unit": "word",
    "rtf": 0.01,
    "rate": 0.0,
    "interval": [0.0, 0.0],
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
    # Of 5 h, 25 frames a second of 50 posteriors in 2 bytes, and 5,000 bytes of lattices
    assert rows["decode"][1:3] == ["0.1", "GB"]
    wider = plan(*folders, "--units", "50000", "--set", "decode.keep_lattices=false")
    assert wider[-2].split()[1:3] == ["45.0", "GB"]
    assert "1best not measured" in lines[-2]
    assert "0.1  measured greedy RTF 0.01" in lines[-2]  # 5 h of dev and test


def test_a_given_speed_and_hours_of_an_experiment(folders: List[str], tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    splits = {name: {"seconds": 3600.0} for name in ("train", "dev", "test")}
    (tmp_path / "manifests" / "statistics.json").write_text(json.dumps({"splits": splits}))
    lines = plan(*folders, "--exp", str(tmp_path), "--throughput", "1000", "--set", "train.epochs=1000")
    assert "train 1.0 h, dev 1.0 h, test 1.0 h, of" in lines[0]
    (train,) = [line for line in lines if line.startswith("train ")]
    assert train.split()[3:] == ["3.0", "given", "1,000", "audio", "s/s"]


def test_hours_that_nobody_published_are_asked_for(folders: List[str]) -> None:
    with pytest.raises(UserError, match=r"(?s)no hours of three.*--exp"):
        plan(*folders, "--set", "corpus.train_sets=[one, three]")


def test_gpus_are_given_a_measured_throughput(folders: List[str]) -> None:
    lines = plan(*folders, "--gpus", "4", "--throughput", "500")
    (train,) = [line for line in lines if line.startswith("train ")]
    hours = 20 * 100 * (1 / 0.9 + 1 + 1 / 1.1) / (4 * 500)
    assert train.split(None, 4)[3:] == [
        f"{hours:.1f}",
        "given 500 audio s/s a GPU; assumed 4 times that, as if gradients and features came in no time",
    ]


def test_gpus_without_measurement_are_extrapolated_from_operations_and_never_run(folders: List[str]) -> None:
    lines = plan(*folders, "--gpus", "2", "--gpu-rate", "100", "--gpu-share", "0.5", "--units", "50")
    (train,) = [line for line in lines if line.startswith("train ")]
    work = int(re.findall(r"([\d,]+) M multiply-adds a second", lines[2])[0].replace(",", "")) * 1e6
    speed = float(re.findall(r"([\d,.]+) audio s/s a GPU", train)[0].replace(",", ""))
    assert speed == pytest.approx(100e12 * 0.5 / (6 * work), rel=0.5 / (work / 1e6))
    assert "never run: extrapolated from 50 % of 100 TFLOP/s" in train
    for precision, rate in (("float32", "19.5"), ("bfloat16", "312")):
        lines = plan(*folders, "--gpus", "2", "--set", f"train.precision={precision}")
        assert f"extrapolated from 10 % of {rate} TFLOP/s" in "".join(lines)


def test_memory_of_a_gpu(folders: List[str]) -> None:
    def memory(*settings: str) -> List[float]:
        options = [option for setting in settings for option in ("--set", setting)]
        line = plan(*folders, "--gpus", "4", "--units", "10000", *options)[-1]
        return [float(re.findall(rf"{of} ([\d.]+) GB", line)[0]) for of in ("computed", "extrapolated")]

    wide = "model.attention_dim=1024"
    parameters = int(plan(*folders, "--units", "10000", "--set", wide)[2].split()[1].replace(",", ""))
    adamw, activations = memory(wide, "train.optimizer=adamw", "train.batch_duration=10000")
    assert adamw == pytest.approx(4 * 4 * parameters / 1e9, abs=0.005)  # weights, gradients, two moments
    averaged, _ = memory(wide, "train.optimizer=adamw", "train.ema_decay=0.9")
    assert averaged == pytest.approx(5 * 4 * parameters / 1e9, abs=0.005)
    assert memory(wide)[0] < adamw  # Muon keeps one moment of a matrix
    _, split = memory(wide, "train.batch_duration=10000", "train.accumulate=2")
    assert split == pytest.approx(activations / 2, abs=0.01)
    _, twice = memory(wide, "train.batch_duration=10000", "train.consistency_weight=0.2")
    assert twice == pytest.approx(activations * 2, abs=0.01)


def test_a_rate_that_would_not_count_is_refused(folders: List[str]) -> None:
    for options in (["--gpu-rate", "100"], ["--gpus", "2", "--throughput", "100", "--gpu-share", "0.3"]):
        with pytest.raises(UserError, match=r"(?s)nothing to say.*--gpus"):
            plan(*folders, *options)

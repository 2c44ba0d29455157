"""Links and folders of an experiment that a copy or a hand had changed ended a run with raw errors."""

import json
import os
import shutil
from pathlib import Path
from typing import Callable, Dict

import pytest
from click.testing import CliRunner

from asrkit.cli import clean
from tests.known_issues.conftest import Finished


def contents(exp: Path) -> Dict[str, bytes]:
    """What stages hand on to each other, and what they report in the end."""
    places = ("lm/*", "train/checkpoints/epoch*", "average/*", "decode/*/hyp*", "score/*")
    files = (file for place in places for file in exp.glob(place))
    return {str(file.relative_to(exp)): file.read_bytes() for file in files}


def replace(exp: Path, name: str, kind: str) -> None:
    place = exp / name
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.is_dir():
        shutil.rmtree(place)
    if kind == "file":
        place.write_text("x")
    elif kind == "folder":
        place.mkdir()
    elif kind == "dangling link":
        place.symlink_to("nowhere")
    elif kind == "loop":
        place.symlink_to(place.name)


def leave_both(exp: Path) -> None:
    shutil.copytree(exp / "lm", exp / ".lm.old")
    shutil.copytree(exp / "lm", exp / "lm.next")
    (exp / "lm" / ".begun").write_text(json.dumps({"key": "x", "started": 1.0, "seconds_before": 0.0}))


def damage_all(kind: str) -> Callable[[Path], None]:
    def damage(exp: Path) -> None:
        for name in ("train", ".lm.old"):
            replace(exp, name, kind)

    return damage


DAMAGES: Dict[str, Callable[[Path], None]] = {
    **{kind: damage_all(kind) for kind in ("file", "folder", "dangling link", "loop")},
    "lm is a loop": lambda exp: replace(exp, "lm", "loop"),
    ".lm.old, lm.next and a note": leave_both,
    "results.json is a folder": lambda exp: replace(exp, "results.json", "folder"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_run_sh_repairs_it_without_training(yesno: Finished, name: str) -> None:
    before = contents(yesno.exp)
    DAMAGES[name](yesno.exp)
    output = yesno.run()
    output += yesno.run("--stage", "lm", "--stop-stage", "lm")  # which replaces what is there
    assert "epoch   1:" not in output
    assert contents(yesno.exp) == before
    assert "nothing to do" in yesno.run()


def test_trainings_are_a_file(yesno: Finished) -> None:
    before = contents(yesno.exp)
    replace(yesno.exp, "trainings", "file")
    yesno.run()
    assert contents(yesno.exp) == before


def test_copy_without_links_of_an_unfinished_training(yesno: Finished) -> None:
    before = contents(yesno.exp)
    training = (yesno.exp / "train").resolve()
    note = {"key": json.loads((training / "record.json").read_text())["key"], "started": 1.0}
    (training / ".begun").write_text(json.dumps({**note, "seconds_before": 0.0}))
    (training / "record.json").unlink()
    (yesno.exp / "stages" / "train.json").unlink()
    (yesno.exp / "train").unlink()
    shutil.copytree(training, yesno.exp / "train")
    (yesno.exp / "trainings" / "earlier-2").mkdir()
    yesno.run()
    assert contents(yesno.exp) == before
    assert os.readlink(yesno.exp / "train") == f"trainings/{training.name}"


def test_clean_keeps_the_training_in_use_whose_link_is_gone(yesno: Finished) -> None:
    training = (yesno.exp / "train").resolve()
    (yesno.exp / "train").unlink()
    (training / "log.jsonl").write_text('{"epoch": 1}\n[]\n')
    shutil.copytree(training, training.with_name("other"))
    (training.with_name("other") / "record.json").unlink()
    (training.with_name("link")).symlink_to(training)
    found = CliRunner().invoke(clean.command, [str(yesno.exp), "--yes"], catch_exceptions=False)
    assert "used  " in found.output
    assert sorted(folder.name for folder in training.parent.iterdir()) == ["link", training.name]
    assert (training / "checkpoints").is_dir()


def test_a_second_use_keeps_what_stages_cost(yesno: Finished) -> None:
    costs = json.loads((yesno.exp / "cost.json").read_text())["stages"]
    (yesno.exp / "train").unlink()
    yesno.run()
    yesno.run("--stage", "score")
    after = json.loads((yesno.exp / "cost.json").read_text())["stages"]
    assert after.keys() == costs.keys()
    assert after["train"] == costs["train"]


@pytest.mark.parametrize("kind", ["folder", "dangling link", "loop", "pipe"])
def test_what_is_no_file_counts_as_missing(yesno: Finished, kind: str) -> None:
    weights = next((yesno.exp / "train" / "checkpoints").glob("epoch-*")).relative_to(yesno.exp)
    for name in (str(weights), "lm/lm.arpa"):
        replace(yesno.exp, name, kind)
        if kind == "pipe":  # which nobody writes into
            os.mkfifo(yesno.exp / name)
    states = {line.split()[1]: line.split()[2] for line in yesno.run("--status").splitlines()[1:]}
    assert states["units"] == "fresh"
    assert states["lm"] == states["train"] == "stale"


def test_status_names_a_damaged_manifest(yesno: Finished) -> None:
    manifest = yesno.exp / "manifests" / "train_cuts.jsonl.gz"
    manifest.write_bytes(bytes(len(manifest.read_bytes())))
    states = {line.split()[1]: line.split()[2] for line in yesno.run("--status").splitlines()[1:]}
    assert (states["download"], states["manifests"]) == ("fresh", "stale")
    assert "train_cuts.jsonl.gz" in yesno.run("--stage", "features", "--stop-stage", "features", status=1)
    yesno.run()
    assert "nothing to do" in yesno.run()

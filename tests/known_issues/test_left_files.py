"""Temporary files of killed runs stayed for ever, and a folder in a file's place stopped every later run.
What was half-written goes when the next run takes the lock; a folder is moved aside."""

from pathlib import Path

import pytest
import torch

from asrkit.pipeline.lock import hold_lock
from asrkit.storage.files import sweep, write_json
from asrkit.storage.tensors import load_tensors, save_tensors

LEFT = ("lm/.lm.arpa.4711.part", "train/checkpoints/.tmpA1b2C3", ".results.json.1.part", ".train.12.part")
KEPT = ("lm/lm.arpa", ".part", "a.12.part", ".x.part", ".tmp", ".tmpA1b2C3d", "b/.hidden", "c/.gitignore")


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("half")


def names(folder: Path) -> "set[str]":
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} - {".lock"}


def test_what_killed_runs_left_goes_with_the_next_run(tmp_path: Path) -> None:
    make(tmp_path, *LEFT, *KEPT)
    with hold_lock(tmp_path, ["asrkit", "run"]):
        assert names(tmp_path) == {*KEPT}


def test_folders_with_a_lock_of_their_own_and_links_are_left_alone(tmp_path: Path) -> None:
    make(tmp_path / "other", "lm/.lm.arpa.1.part")
    make(tmp_path / "exp", "evaluate/noisy/.lock", "evaluate/noisy/.results.json.1.part", *LEFT)
    (tmp_path / "exp" / "link").symlink_to(tmp_path / "other")
    (tmp_path / "exp" / ".dangling.1.part").symlink_to("nowhere")
    (tmp_path / "exp" / "loop").symlink_to("loop")
    sweep(tmp_path / "exp")
    assert names(tmp_path / "exp" / "evaluate") == {"noisy/.lock", "noisy/.results.json.1.part"}
    assert (tmp_path / "other" / "lm" / ".lm.arpa.1.part").exists()
    assert not list((tmp_path / "exp").glob(".*.part"))
    sweep(tmp_path / "exp" / "evaluate" / "noisy")
    assert names(tmp_path / "exp" / "evaluate") == {"noisy/.lock"}


@pytest.mark.parametrize("name", ["x.json", "x.safetensors"])
def test_a_folder_or_a_loop_in_a_files_place_is_no_hindrance(tmp_path: Path, name: str) -> None:
    def write() -> None:
        if name.endswith("json"):
            write_json(tmp_path / name, {"a": 1})
        else:
            save_tensors(tmp_path / name, {"w": torch.zeros(2)}, {})
            load_tensors(tmp_path / name)
        assert (tmp_path / name).is_file()

    make(tmp_path, f"{name}/of the user's")
    write()
    assert (tmp_path / f".{name}.folder-1" / "of the user's").exists()  # nothing of a user's is lost
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to(name)
    write()
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    write()

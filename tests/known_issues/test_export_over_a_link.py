"""asrkit export replaced a symbolic link, and failed the second time; with "." it failed at the very end."""

import os
from pathlib import Path
from typing import Any

import pytest

from asrkit.deploy import export as exporting
from asrkit.deploy.export import export
from asrkit.errors import UserError

EXPERIMENT: Any = None


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """An export that writes one file."""

    def write_files(experiment: Any, folder: Path, *_: Any) -> Any:
        (folder / "model.onnx").write_text(f"{len(list(folder.parent.iterdir()))}")
        return "bundle"

    monkeypatch.setattr(exporting, "write_files", write_files)
    monkeypatch.setattr(exporting, "refuse_changed_model", lambda *_, **__: None)


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_kept_and_its_folder_replaced(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "disk").mkdir()
    if exists:
        (tmp_path / "disk/B").mkdir()
    os.symlink("disk/B", tmp_path / "B")
    for _ in range(2):
        assert export(EXPERIMENT, tmp_path / "B") == "bundle"
        assert (tmp_path / "B").is_symlink()
        assert sorted(file.name for file in tmp_path.iterdir()) == ["B", "disk"]
        assert [file.name for file in (tmp_path / "disk").iterdir()] == ["B"]
        assert [file.name for file in (tmp_path / "B").iterdir()] == ["model.onnx"]


def test_files_and_folders_that_a_killed_export_left_are_removed(tmp_path: Path) -> None:
    os.symlink("nowhere", tmp_path / ".B.old")
    (tmp_path / ".B.next").write_text("")
    assert export(EXPERIMENT, tmp_path / "B") == "bundle"
    assert [file.name for file in tmp_path.iterdir()] == ["B"]


def test_the_current_directory_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for place in (Path("."), tmp_path / "empty"):
        with pytest.raises(UserError, match="is the current directory") as error:
            export(EXPERIMENT, place)
        assert error.value.todo.endswith("empty/bundle")
    assert os.listdir(tmp_path) == ["empty"] and os.listdir() == []


def test_a_folder_that_cannot_be_replaced_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "B").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't write"):
        export(EXPERIMENT, tmp_path / "file" / "B")
    monkeypatch.setattr("os.path.ismount", lambda place: True)
    with pytest.raises(UserError, match="is a mount point"):
        export(EXPERIMENT, tmp_path / "B")

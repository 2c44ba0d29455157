import contextlib
import errno
import os
import resource
from pathlib import Path
from typing import Iterator

import pytest

from asrkit.errors import UserError
from asrkit.storage.files import scratch_folder, whole_file, write_bytes, write_text


@contextlib.contextmanager
def little_space() -> Iterator[None]:
    """Writing more than 1,000 bytes to a file fails, as it does when the disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:  # before pytest writes its own log
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_full_disk_the_old_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "counts.json"
    write_text(file, "old")
    with pytest.raises(UserError, match=r"can't write .*counts\.json") as raised, little_space():
        write_bytes(file, b"x" * 5000)
    assert "nothing is damaged" in str(raised.value)
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("counts.json", "old")]


def test_a_full_disk_found_only_when_written_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(UserError, match="No space left on device"):
        write_text(tmp_path / "counts.json", "new")
    assert list(tmp_path.iterdir()) == []


def test_a_fault_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def break_off() -> None:
        with whole_file(tmp_path / "a" / "counts.json") as temporary:
            temporary.write_text("half")
            raise RuntimeError("broke off")

    with pytest.raises(RuntimeError, match="broke off"):
        break_off()
    assert list((tmp_path / "a").iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="can't write"):
        write_text(tmp_path / "taken" / "counts.json", "new")


def test_a_scratch_folder_starts_empty_and_is_removed_even_on_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "sorting" / "left").mkdir(parents=True)

    def fill() -> None:
        with scratch_folder(tmp_path / "sorting") as folder, little_space():
            assert not list(folder.iterdir())
            (folder / "run").write_bytes(b"x" * 5000)

    with pytest.raises(UserError, match=r"can't write temporary files: .*File too large"):
        fill()
    assert not list(tmp_path.iterdir())

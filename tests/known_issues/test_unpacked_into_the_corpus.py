"""With --corpus-dir .../LibriSpeech, a set was unpacked to LibriSpeech/LibriSpeech, and others weren't found.

Files that a killed run had downloaded or unpacked were never removed.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

from asrkit.corpus import download
from asrkit.corpus.download import Archive, fetch_corpus, unpack
from tests.corpus.test_download import Server, make_archive, serve

__all__ = ["serve"]  # a fixture
SETS = ("test-clean", "dev-clean")


@pytest.mark.parametrize("name", ["LibriSpeech", "speech"])
@pytest.mark.parametrize("named", ["folder", "parent"])
def test_a_set_is_unpacked_beside_the_others(tmp_path: Path, name: str, named: str) -> None:
    folder = tmp_path / name if named == "folder" else tmp_path / "LibriSpeech"
    (folder / "test-clean").mkdir(parents=True)
    given = folder if named == "folder" else tmp_path
    (given / "dev-clean.tar.gz").write_bytes(make_archive({"LibriSpeech/dev-clean/a.txt": b"a"}))
    archive = Archive(("http://nowhere.invalid/resources/12/dev-clean.tar.gz",), "LibriSpeech", content=SETS)
    fetch_corpus(archive, given)
    assert sorted(place.name for place in archive.folder(given).iterdir() if place.is_dir()) == sorted(SETS)


def test_a_new_folder_holds_the_top_folder(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "dev-clean.tar.gz").write_bytes(make_archive({"LibriSpeech/dev-clean/a.txt": b"a"}))
    archive = Archive(("http://nowhere.invalid/resources/12/dev-clean.tar.gz",), "LibriSpeech", content=SETS)
    fetch_corpus(archive, tmp_path / "new")
    assert (tmp_path / "new/LibriSpeech/dev-clean/a.txt").read_bytes() == b"a"


def test_what_a_killed_run_unpacked_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "toy.tar.gz"
    file.write_bytes(make_archive({"toy/a.txt": b"a"}))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f".toy.tar.gz.{platform.node()}.{ended.pid}.part"
    others = [
        tmp_path / f".toy.tar.gz.{platform.node()}.{os.getppid()}.part",
        tmp_path / f".toy.tar.gz.elsewhere.{ended.pid}.part",
        tmp_path / f".toy.tar.gz.{platform.node()}.mine.part",
    ]
    for folder in (left, *others):
        folder.mkdir()
    unpack(file, "toy", tmp_path)
    assert not left.exists() and all(folder.exists() for folder in others)


def test_an_archive_that_a_killed_run_fetched_is_removed(
    serve: Callable[[bytes], Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    archive = serve(make_archive({"toy/a.txt": b"a"})).archive()
    with monkeypatch.context() as patch:
        patch.setattr(download, "unpack", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch_corpus(archive, tmp_path)
    assert (tmp_path / "toy.tar.gz").exists()
    fetch_corpus(archive, tmp_path)
    assert [place.name for place in tmp_path.iterdir()] == ["toy"]

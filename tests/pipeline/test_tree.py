import os
from pathlib import Path
from typing import Callable, Dict, List

import pytest

from asrkit.pipeline import tree
from asrkit.pipeline.inputs import walk
from asrkit.pipeline.tree import tree_key
from asrkit.storage import fingerprint
from asrkit.storage.fingerprint import FileStamp, FingerprintCache, hash_file


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Folders with files, one of them reached by a link, links in a circle and to nowhere, an experiment."""
    names = ("top/a/1.wav", "top/a/2.wav", "top/b/c/3.wav", "data/4.wav", "top/exp/stages/x", "top/.cache/y")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "top/exp/recipe.yaml").write_text("")
    links = (("linked", "data"), ("a/circle", "top"), ("b/parent", "."), ("b/hidden", "top/.cache"))
    for link, target in links:
        (tmp_path / "top" / link).symlink_to(tmp_path / target)
    (tmp_path / "top/b/nowhere").symlink_to(tmp_path / "nowhere")
    (tmp_path / "top/b/other.wav").symlink_to(tmp_path / "data/4.wav")
    return tmp_path


def written(file: Path) -> None:
    """Another content of the same size, with the time of the former."""
    status = file.stat()
    file.write_text(file.read_text()[::-1])
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES: Dict[str, Callable[[Path], object]] = {
    "written": lambda folder: written(folder / "top/a/1.wav"),
    "written in a linked folder": lambda folder: written(folder / "data/4.wav"),
    "written in a hidden folder with a link": lambda folder: written(folder / "top/.cache/y"),
    "added": lambda folder: (folder / "top/b/c/new").write_text(""),
    "added where there was none": lambda folder: (folder / "top/b/new").write_text(""),
    "removed": lambda folder: (folder / "top/a/2.wav").unlink(),
    "renamed": lambda folder: (folder / "top/a/2.wav").rename(folder / "top/a/0.wav"),
    "moved": lambda folder: (folder / "top/a/2.wav").rename(folder / "top/b/2.wav"),
    "a name that isn't UTF-8": lambda folder: (folder / "top" / os.fsdecode(b"\xff.wav")).write_text(""),
    "found": lambda folder: (folder / "nowhere").write_text(""),
    "a folder renamed": lambda folder: (folder / "top/a").rename(folder / "top/d"),
    "an experiment no more": lambda folder: (folder / "top/exp/recipe.yaml").unlink(),
}


@pytest.mark.parametrize("shared", [1, 256])
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_file_is_seen(
    corpus: Path, change: str, shared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "FOLDERS_TO_SHARE", shared)
    before, listed = tree_key(corpus / "top", [], 2), walk(corpus / "top", "corpus")
    assert tree_key(corpus / "top", [], 2) == before == tree_key(corpus / "top", [], 1)
    CHANGES[change](corpus)
    assert walk(corpus / "top", "corpus") != listed
    assert tree_key(corpus / "top", [], 2) != before


def test_what_is_left_out_is_not_looked_at(corpus: Path) -> None:
    before = tree_key(corpus / "top", [corpus / "top/b"], 1)
    for name in ("top/b/new", "top/exp/new", "top/.hidden"):
        (corpus / name).write_text("")
    assert tree_key(corpus / "top", [corpus / "top/b"], 1) == before


def test_files_are_listed_only_if_one_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "SETTLING_NANOSECONDS", -1)
    top, calls = tmp_path / "top", []
    top.mkdir()

    def find() -> List[FileStamp]:
        calls.append("find")
        return walk(top, "corpus")

    digests, listings = [], []
    for content in ("one", "", "", "two!", ""):  # of the file; "": it stays
        if content:
            (top / "1.wav").write_text(content)
        cache = FingerprintCache(tmp_path / "cache")
        digests.append(cache.group_once("corpus", find, lambda: tree_key(top, [], 1)))
        assert len(calls) == (2 if "two!" in (top / "1.wav").read_text() else 1)
        if len(digests) == 5:
            listings.append(cache.listing("corpus"))
        cache.save()
    assert len(calls) == 3  # once more for the listing
    assert listings == [{"corpus/1.wav": hash_file(top / "1.wav")}]
    assert digests[0] == digests[1] == digests[2] != digests[3] == digests[4]

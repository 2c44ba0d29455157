"""A study's record named a commit "-dirty" from its second row on: the first row had changed the record."""

import subprocess
from pathlib import Path

import pytest

from asrkit.pipeline import cost


def test_records_and_pages_are_no_change_and_code_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / name for name in ("recipes/an4/records/study.json", "README.md", "asrkit/loss.py")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("first")
    git = ("git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(cost, "REPOSITORY", tmp_path)
    read_commit = cost.read_commit.__wrapped__  # without its memory
    commit = read_commit()
    assert commit is not None and len(commit) == 40
    for file in files[:2]:
        file.write_text("second")
    assert read_commit() == commit
    files[2].write_text("second")
    assert read_commit() == f"{commit}-dirty"

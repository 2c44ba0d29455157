"""A command of more than 255 characters, or an unreadable folder, ended every run with an OSError."""

import os
from pathlib import Path
from typing import Any

import pytest

from asrkit.errors import UserError
from asrkit.pipeline import inputs, tree
from asrkit.pipeline.runner import cache_of
from asrkit.pipeline.stage import Stage
from tests.pipeline.toy import Toy


def test_a_long_command_is_not_taken_for_a_file(toy: Toy) -> None:
    stage = Stage(name="own", purpose="", writes=(), number="9", command=("bash", "-c", "echo " + "x" * 300))
    experiment = toy.experiment()
    assert inputs.fingerprint_inputs(stage, experiment, cache_of(experiment)) == {}


def test_folders_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.wav", "lost+found/x"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    access, closed = os.access, ["lost+found"]

    def refuse(place: Any, mode: int) -> bool:
        return os.path.basename(place) not in closed and access(place, mode)

    monkeypatch.setattr(os, "access", refuse)  # tests may run as root
    assert [file.name for file in inputs.walk(tmp_path, "corpus")] == ["corpus/a/1.wav"]
    assert tree.tree_key(tmp_path, [], 1)
    closed.append("a")  # its utterances would be lost without a warning
    for look in (lambda: inputs.walk(tmp_path, "corpus"), lambda: tree.tree_key(tmp_path, [], 1)):
        with pytest.raises(UserError, match=f"can't read the folder {tmp_path}/a"):
            look()

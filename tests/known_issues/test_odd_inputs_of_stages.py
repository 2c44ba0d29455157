"""A command of more than 255 letters, or a folder that can't be read, ended every run with an OSError."""

import os
from pathlib import Path
from typing import Any

import pytest

from asrkit.pipeline import inputs, tree
from asrkit.pipeline.runner import cache_of
from asrkit.pipeline.stage import Stage
from tests.pipeline.toy import Toy


def test_a_long_command_names_no_file(toy: Toy) -> None:
    stage = Stage(name="own", purpose="", writes=(), number="9", command=("bash", "-c", "echo " + "x" * 300))
    experiment = toy.experiment()
    assert inputs.fingerprint_inputs(stage, experiment, cache_of(experiment)) == {}


def test_folders_that_cannot_be_read_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.wav", "lost+found/x"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    access, opened = os.access, os.open

    def refuse_access(place: Any, mode: int) -> bool:
        return not str(place).endswith("lost+found") and access(place, mode)

    def refuse_to_open(place: Any, *more: Any) -> int:
        if str(place).endswith("lost+found"):
            raise PermissionError
        return opened(place, *more)

    monkeypatch.setattr(os, "access", refuse_access)  # tests may run as root
    monkeypatch.setattr(os, "open", refuse_to_open)
    assert [file.name for file in inputs.walk(tmp_path, "corpus")] == ["corpus/a/1.wav"]
    assert tree.tree_key(tmp_path, [], 1) == tree.tree_key(tmp_path, [], 1)

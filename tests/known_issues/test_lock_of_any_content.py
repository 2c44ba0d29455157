"""What .lock held decided whether a run was alive: a reused process number, another host, or a raw error."""

import contextlib
import errno
import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest

from asrkit.errors import UserError
from asrkit.pipeline import lock
from asrkit.pipeline.lock import UNKNOWN, hold_lock, read_holder
from tests.pipeline.toy import Toy

GOOD = {"pid": 1, "host": os.uname().nodename, "since": "today", "command": "asrkit", "stage": 2}
CONTENTS = [
    b"",
    b"\0\xff\xfe",
    b"null",
    b"[]",
    b"12",
    b'"text"',
    b"{}",
    b"[" * 100_000,
    b'{"pid": ' + b"9" * 5000 + b"}",
    b'{"pid": NaN}',
    b'{"pid": "1", "host": 5}',
    json.dumps({**GOOD, "pid": "1"}).encode(),
    json.dumps({**GOOD, "stage": [1]}).encode(),
    json.dumps({**GOOD, "host": None}).encode(),
    b"x" * 1_000_000,
]


@pytest.mark.parametrize(
    "content", [*CONTENTS, json.dumps(GOOD).encode(), json.dumps({**GOOD, "host": "elsewhere"}).encode()]
)
def test_nobody_runs_where_the_lock_is_free(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".lock").write_bytes(content)
    assert read_holder(tmp_path) is None
    with hold_lock(tmp_path, ["asrkit", "run\udcff"]):
        holder = read_holder(tmp_path)
        assert holder is not None
        assert (holder.pid, holder.command) == (os.getpid(), "asrkit run\udcff")
    assert read_holder(tmp_path) is None


@pytest.mark.parametrize("content", CONTENTS)
def test_a_held_lock_is_held_whatever_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(lock, "DYING_SECONDS", 0.0)
    with open(tmp_path / ".lock", "wb") as file:
        file.write(content)
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        assert read_holder(tmp_path) == UNKNOWN
        with pytest.raises(UserError, match="in use by an unknown process"), hold_lock(tmp_path, []):
            pass


def test_status_of_a_reused_process_number_and_of_another_host(finished: Toy) -> None:
    for host in (os.uname().nodename, "elsewhere"):
        (finished.exp / ".lock").write_text(json.dumps({**GOOD, "host": host}))
        assert "running" not in finished.run("--status")


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "dangling link"])
def test_a_lock_that_is_no_file_is_neither_waited_for_nor_written_through(tmp_path: Path, kind: str) -> None:
    file, victim = tmp_path / ".lock", tmp_path / "victim"
    victim.write_text("precious")
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(victim if kind == "link" else tmp_path / "absent")
    assert read_holder(tmp_path) is None
    with contextlib.suppress(UserError), hold_lock(tmp_path, []):
        assert kind in ("folder", "dangling link")  # which may give way
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])
def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError) as caught, hold_lock(tmp_path / "exp", []):
        pass
    assert str(tmp_path / "exp") in caught.value.found
    assert "--exp" in caught.value.todo
    assert read_holder(tmp_path / "exp") is None


def test_a_full_disk_does_not_matter_to_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "pwrite", refuse)
    with hold_lock(tmp_path, []) as held:
        held.set_stage(3)
        assert read_holder(tmp_path) == UNKNOWN

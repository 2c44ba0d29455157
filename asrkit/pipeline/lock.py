"""One run at a time on an experiment."""

import contextlib
import datetime
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Sequence

from asrkit.errors import UserError
from asrkit.storage.files import remove, sweep

DYING_SECONDS = 5.0  # how long processes of a killed run may take to go


class ExperimentLock:
    """The lock that this process holds; says to others what it is doing."""

    def __init__(self, descriptor: int, command: Sequence[str]) -> None:
        self._descriptor = descriptor
        self._holder: Dict[str, Any] = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.datetime.now().isoformat(" ", "seconds"),
            "command": " ".join(command),
        }
        self.say_stage(None)

    def say_stage(self, stage: Optional[int]) -> None:
        """Let others know which stage runs now."""
        content = json.dumps({**self._holder, "stage": stage}).encode("utf-8")
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, content, 0)


@contextlib.contextmanager
def hold_lock(directory: Path, command: Sequence[str]) -> Iterator[ExperimentLock]:
    """Hold `directory`/.lock; raises UserError saying who holds it.

    The kernel lets go of it when this process and its children have ended, however they did.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = directory / ".lock"
        if lock.is_dir() or (lock.is_symlink() and not lock.exists()):
            remove(lock)  # which nobody holds
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UserError(
            f"can't write {directory}: {error.strerror}",
            expected="a folder one may write to",
            where="--exp",
            todo="mend the permissions, or give another folder with --exp",
        ) from None
    try:
        _acquire(descriptor, directory)
        sweep(directory)
        try:
            yield ExperimentLock(descriptor, command)
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def read_holder(directory: Path) -> Optional[Dict[str, Any]]:
    """Who holds the lock: {"pid", "host", "since", "command", "stage"}; None: nobody that can be seen."""
    try:
        holder = json.loads((directory / ".lock").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(holder, dict) or not isinstance(holder.get("pid"), int):
        return None
    if holder.get("host") == socket.gethostname() and not _is_alive(holder["pid"]):
        return None
    return holder


def _acquire(descriptor: int, directory: Path) -> None:
    deadline = time.monotonic() + DYING_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            holder = read_holder(directory)
        # A run that was killed may leave a child for an instant; one that has just begun has not signed yet.
        if holder is None and time.monotonic() < deadline:
            time.sleep(0.05)
            continue
        who = (
            f"by process {holder['pid']} on {holder['host']} since {holder['since']}: {holder['command']}"
            if holder
            else "by an unknown process"
        )
        raise UserError(
            f"this experiment is in use {who}",
            expected="one run at a time on an experiment",
            where=str(directory),
            todo="wait for it to end, end it, or give another folder with --exp",
        )


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True

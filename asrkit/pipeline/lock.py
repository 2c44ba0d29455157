"""One run at a time per experiment: EXP/.lock, held by flock."""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import socket
import stat
import time
from pathlib import Path
from typing import Iterator, Optional, Sequence

import msgspec

from asrkit.errors import UserError
from asrkit.storage.files import remove, sweep

DYING_SECONDS = 5.0  # for the processes of a killed run to end
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)  # from file systems without flock
MOST_BYTES = 1 << 16  # of .lock that are read


class NotWritable(UserError):
    """The experiment can only be read."""


class Holder(msgspec.Struct):
    """The process that holds a lock, as written into .lock."""

    pid: int
    host: str
    since: str
    command: str
    stage: Optional[str] = None  # that runs now

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}" if self.pid else "an unknown process"


UNKNOWN = Holder(0, "", "", "")


class ExperimentLock:
    """The lock that this process holds; its file shows others what runs."""

    def __init__(self, descriptor: int, command: Sequence[str]) -> None:
        self._descriptor = descriptor
        since = datetime.datetime.now().isoformat(" ", "seconds")
        self._holder = Holder(os.getpid(), socket.gethostname(), since, " ".join(command))
        self.set_stage(None)

    def set_stage(self, stage: Optional[str]) -> None:
        """Write the stage that runs now."""
        self._holder.stage = stage
        content = json.dumps(msgspec.to_builtins(self._holder)).encode("ascii")
        with contextlib.suppress(OSError):  # a full disk: the lock itself is the kernel's
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, content, 0)


@contextlib.contextmanager
def hold_lock(directory: Path, command: Sequence[str], option: str = "--exp") -> Iterator[ExperimentLock]:
    """Hold `directory`/.lock; raises UserError that names the holder, or why there can be no lock.

    The kernel releases it when this process and its children have ended, however they did. `option`: the
    command-line option for another folder, named in errors.
    """
    file = directory / ".lock"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if file.is_dir() or (file.is_symlink() and not file.exists()):
            remove(file)  # nobody can hold it
        descriptor = _open(file, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        todo = f"fix the permissions, or give another folder with {option}"
        found = f"can't write {file}: {error.strerror}"
        raise NotWritable(found, "a writable directory", option, todo) from None
    try:
        _acquire(descriptor, directory, option)
        sweep(directory)
        try:
            yield ExperimentLock(descriptor, command)
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def read_holder(directory: Path) -> Optional[Holder]:
    """Who holds the lock; None: nobody. Trying the lock decides, whatever the file contains."""
    try:
        descriptor = _open(directory / ".lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            return msgspec.convert(json.loads(os.read(descriptor, MOST_BYTES)), Holder)
        return UNKNOWN
    except OSError:
        return None  # a file system without locks
    finally:
        os.close(descriptor)


def _open(file: Path, flags: int) -> int:
    """Open a regular file; OSError for anything else, which might block for ever."""
    descriptor = os.open(file, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(file))
    return descriptor


def _acquire(descriptor: int, directory: Path, option: str) -> None:
    deadline = time.monotonic() + DYING_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            holder = read_holder(directory)
        except OSError as error:
            found = f"can't lock {directory / '.lock'}: {error.strerror}"
            if error.errno in NO_LOCKS:
                found = f"the file system of {directory} has no file locks ({error.strerror})"
            expected = "a file system with flock, so that two runs don't write to one experiment"
            todo = f"give a folder on another disk with {option}, or mount this one with locks"
            todo += " (Lustre: -o flock)"
            raise UserError(found, expected, str(directory), todo) from None
        # A child of a killed run may live for an instant, and a run that has just begun has not signed yet.
        if holder not in (None, UNKNOWN) or time.monotonic() >= deadline:
            break
        time.sleep(0.05)
    raise UserError(
        f"this experiment is in use by {holder or UNKNOWN}" + (f": {holder.command}" if holder else ""),
        "one run at a time per experiment",
        str(directory),
        f"wait for it to end, end it, or give another folder with {option}",
    )

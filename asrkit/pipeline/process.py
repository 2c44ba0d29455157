"""Run a stage in a child process: copy its output to a log, measure its time and memory.

No process outlives the run. The child leads a process group, so that whatever the stage started ends with it;
a guard process ends the group if this process is killed.
"""

import atexit
import codecs
import contextlib
import dataclasses
import fcntl
import json
import os
import pty
import re
import selectors
import signal
import sys
import termios
import time
import traceback
import tty
import warnings
from typing import Any, Callable, Dict, NoReturn, Optional, TextIO, cast

from asrkit.errors import UserError
from asrkit.pipeline.interruption import ENDING, die_with, signals_wait
from asrkit.pipeline.output import StageLog, terminal_stream

GRACE_SECONDS = 5.0  # from SIGTERM to SIGKILL
POLL_SECONDS = 0.5
PIPES_BYTES = 1 << 18  # more than pipes hold; an orphan of the child may go on writing for ever


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a child ended."""

    seconds: float
    peak_bytes: int  # resident memory of the largest of its processes
    status: int  # as os.wait4 gives it
    report: Dict[str, Any]  # {"device"}, {"user_error"} or {"error", "traceback"}; {} if it was killed


class Guard:
    """A process that kills a process group when this process has died without closing the guard."""

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        with signals_wait():
            self._process = os.fork()
            if self._process == 0:
                _keep_guard(reader)
        os.close(reader)

    def watch(self, group: int) -> None:
        """Set the process group to kill; 0: none."""
        os.write(self._writer, b"%d\n" % group)

    def close(self) -> None:
        """End the guard."""
        os.close(self._writer)
        os.waitpid(self._process, 0)

    def close_in_child(self) -> None:
        """Close the pipe in a fork of this process, so that the guard sees this process's end."""
        os.close(self._writer)


def run_in_child(
    work: Callable[[], Optional[str]], log: StageLog, guard: Guard, heartbeat: Callable[[], None]
) -> Outcome:
    """Fork a child that calls `work`, relay its output, and wait for it and all that it started.

    `work` may return the name of the accelerator that its own processes used. `heartbeat` is called twice a
    second. Raises Interrupted, after the child has ended.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pipes = {"out": _open_pipe(sys.stdout), "err": _open_pipe(sys.stderr), "report": os.pipe()}
    parent, begun = os.getpid(), time.monotonic()
    with warnings.catch_warnings(), signals_wait():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's idle threads survive forks
        child = os.fork()
        if child == 0:
            guard.close_in_child()
            _be_child(work, {name: writer for name, (reader, writer) in pipes.items()}, parent)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    guard.watch(child)
    for _, writer in pipes.values():
        os.close(writer)
    try:
        report = _relay({name: reader for name, (reader, _) in pipes.items()}, child, log, heartbeat)
        _, status, usage = os.wait4(child, 0)
    except BaseException:
        _end(child)
        raise
    finally:
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGKILL)  # what the stage left running
        guard.watch(0)
        for reader, _ in pipes.values():
            os.close(reader)
    seconds, fields = time.monotonic() - begun, cast(Dict[str, Any], {})
    with contextlib.suppress(ValueError):  # killed while it wrote its report
        fields = json.loads(report)
    return Outcome(seconds, usage.ru_maxrss * 1024, status, fields)


def _open_pipe(stream: TextIO) -> Any:
    """(reader, writer) of a pipe, or of a pseudo-terminal if `stream` is a terminal, for progress bars."""
    if not stream.isatty():
        return os.pipe()
    reader, writer = pty.openpty()
    tty.setraw(writer)
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(stream.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(writer, termios.TIOCSWINSZ, size)
    return reader, writer


def _relay(readers: Dict[str, int], child: int, log: StageLog, heartbeat: Callable[[], None]) -> bytes:
    """Copy output to the streams and the log until the child has ended; returns its report."""
    streams = {"out": sys.stdout, "err": sys.stderr}
    decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in streams}
    report = b""
    with selectors.DefaultSelector() as selector:
        for name, reader in readers.items():
            selector.register(reader, selectors.EVENT_READ, name)
        left = PIPES_BYTES  # to be read after the child's end
        while selector.get_map() and left > 0:
            # Checked before the pipes: what the child wrote before it ended is in them by now
            ended = _has_ended(child)
            ready = selector.select(0 if ended else POLL_SECONDS)
            if ended and not ready:
                break  # an orphan of the child keeps the pipes open
            heartbeat()
            for key, _ in ready:
                content = _read(key.fd)
                left -= len(content) if ended else 0
                if not content:
                    selector.unregister(key.fd)
                elif key.data == "report":
                    report += content
                else:
                    text = decoders[key.data].decode(content)
                    for drawn in re.split("(?=\r)", text):  # states of a progress bar
                        streams[key.data].write(drawn)
                    streams[key.data].flush()
                    log.feed(key.data, text)
    return report


def _read(descriptor: int) -> bytes:
    with contextlib.suppress(OSError):  # a pseudo-terminal whose other side is closed
        return os.read(descriptor, 1 << 16)
    return b""


def _has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(child: int) -> None:
    """End the child's group: SIGTERM, then SIGKILL."""
    try:
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while not _has_ended(child) and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _be_child(work: Callable[[], Optional[str]], writers: Dict[str, int], parent: int) -> NoReturn:
    code, report = 1, cast(Dict[str, Any], {})
    try:
        os.setpgid(0, 0)
        die_with(parent)  # the guard does it where this isn't Linux
        for number in ENDING:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        _redirect(writers)
        code, report = 0, {"device": work() or _device()}
    except UserError as error:
        report = {"user_error": [error.found, error.expected, error.where, error.todo]}
    except BaseException as error:
        shown = f"{type(error).__name__}: {error}".rstrip(": ")
        report = {"error": shown, "traceback": traceback.format_exc()}
    finally:
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os.write(writers["report"], json.dumps(report).encode("utf-8"))
        os._exit(code)


def _redirect(writers: Dict[str, int]) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, source in ((0, nothing), (1, writers["out"]), (2, writers["err"])):
        os.dup2(source, descriptor)
    for descriptor in (nothing, writers["out"], writers["err"]):
        os.close(descriptor)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = terminal_stream(os.fdopen(1, "w", 1, "utf-8", closefd=False))
    sys.stderr = terminal_stream(os.fdopen(2, "w", 1, "utf-8", closefd=False))


def _device() -> Optional[str]:
    """Name of the accelerator that the stage used."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return str(torch.cuda.get_device_name())
    return None


def _keep_guard(reader: int) -> NoReturn:
    group = 0
    try:
        os.setsid()
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nothing, descriptor)
        os.closerange(3, reader)
        os.closerange(reader + 1, 1024)  # among them the lock and the pipe's other end
        while content := os.read(reader, 64):
            group = int(content.split()[-1])
        if group:
            os.killpg(group, signal.SIGKILL)
    finally:
        os._exit(0)

"""Run a stage in a child process: its output is copied to a log, its time and memory are measured.

No process outlives the run. The child leads a process group of its own, so that whatever the stage
started ends with it; a guard process ends the group when this process is killed without notice.
"""

import atexit
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
from asrkit.pipeline.log import StageLog, text_decoder
from asrkit.pipeline.terminal import terminal_stream

GRACE_SECONDS = 5.0  # from SIGTERM to SIGKILL
POLL_SECONDS = 0.5
PIPES_BYTES = 1 << 18  # more than pipes hold; what a child left behind may go on writing for ever


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a child ended: `report` holds what it said of itself, {} if it was killed."""

    seconds: float
    peak_bytes: int  # resident memory of the largest of its processes
    status: int  # as os.wait4 gives it
    report: Dict[str, Any]


class Guard:
    """A process that ends a group of processes when this one is gone without having said so."""

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        with signals_wait():
            self._process = os.fork()
            if self._process == 0:
                _keep_guard(reader)
        os.close(reader)

    def watch(self, group: int) -> None:
        """Name the group to end; 0: none."""
        os.write(self._writer, b"%d\n" % group)

    def close(self) -> None:
        """End the guard itself."""
        os.close(self._writer)
        os.waitpid(self._process, 0)

    def close_in_child(self) -> None:
        """Let go of the pipe in a process forked from this one, so that its end is noticed."""
        os.close(self._writer)


def run_in_child(
    work: Callable[[], Optional[str]], log: StageLog, guard: Guard, heartbeat: Callable[[], None]
) -> Outcome:
    """Fork a child that does `work`; relay what it prints, and wait for it and all that it started.

    `work` may return the name of the accelerator that its own processes used.

    `heartbeat` is called twice a second. Raises Interrupted, after the child has ended.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pipes = {"out": _open_pipe(sys.stdout), "err": _open_pipe(sys.stderr), "report": os.pipe()}
    parent, begun = os.getpid(), time.monotonic()
    with warnings.catch_warnings(), signals_wait():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's idle threads take forks well
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
    final = {}
    with contextlib.suppress(ValueError):  # it was killed while it wrote its report
        final = json.loads(report)
    return Outcome(time.monotonic() - begun, usage.ru_maxrss * 1024, status, final)


def _open_pipe(stream: TextIO) -> Any:
    """(reader, writer); a pseudo-terminal where `stream` is one, so that progress bars are drawn."""
    if not stream.isatty():
        return os.pipe()
    reader, writer = pty.openpty()
    tty.setraw(writer)
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(stream.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(writer, termios.TIOCSWINSZ, size)
    return reader, writer


def _relay(readers: Dict[str, int], child: int, log: StageLog, heartbeat: Callable[[], None]) -> bytes:
    """Copy output to the streams and the log until all is closed or the child has ended; its report."""
    streams = {"out": sys.stdout, "err": sys.stderr}
    decoders = {name: text_decoder() for name in streams}
    report = b""
    with selectors.DefaultSelector() as selector:
        for name, reader in readers.items():
            selector.register(reader, selectors.EVENT_READ, name)
        left = PIPES_BYTES  # to be read after its end
        while selector.get_map() and left > 0:
            # Asked before the pipes are: what it wrote before it ended is in them by now.
            ended = _has_ended(child)
            ready = selector.select(0 if ended else POLL_SECONDS)
            if ended and not ready:
                break  # a process that it left behind keeps the pipes open
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
                    for drawn in re.split("(?=\r)", text):  # a progress bar's states
                        streams[key.data].write(drawn)
                    streams[key.data].flush()
                    log.feed(key.data, text)
    return report


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # a pseudo-terminal says so when its other side is closed
        return b""


def _has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(child: int) -> None:
    """Ask the child's group to end, then make it."""
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
        die_with(parent)  # elsewhere than on Linux the guard ends it
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        _redirect(writers)
        code, report = 0, {"device": work() or _device()}
    except UserError as error:
        fields = {"found": error.found, "expected": error.expected, "where": error.where, "todo": error.todo}
        report = {"user_error": fields}
    except BaseException as error:
        report = {
            "error": f"{type(error).__name__}: {error}".rstrip(": "),
            "traceback": traceback.format_exc(),
        }
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
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nothing, descriptor)
        os.closerange(3, reader)
        os.closerange(reader + 1, 1024)  # among them the lock, and this process's own end of the pipe
        while True:
            content = os.read(reader, 64)
            if not content:
                break
            group = int(content.split()[-1])
        if group:
            os.killpg(group, signal.SIGKILL)
    finally:
        os._exit(0)

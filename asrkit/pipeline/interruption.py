"""Signals that end a run."""

import contextlib
import ctypes
import os
import signal
from typing import Any, Callable, Iterator, List, NoReturn

PR_SET_PDEATHSIG = 1  # linux/prctl.h
received: List[int] = []  # signals that asked this process to end
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asks this process to end. Not a KeyboardInterrupt, which click would catch."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.todo = "the same command resumes"


def _raise(make: Callable[[int], BaseException]) -> Callable[[int, Any], NoReturn]:
    """A signal handler that raises `make(signal number)`."""

    def handle(number: int, frame: Any) -> NoReturn:
        received.append(number)
        raise make(number)

    return handle


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Raise Interrupted on SIGINT, SIGTERM and SIGHUP; an ignored signal, as under nohup, stays ignored."""
    before = {number: signal.getsignal(number) for number in ENDING}
    for number, action in before.items():
        if action is not signal.SIG_IGN:
            signal.signal(number, _raise(Interrupted))
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def note_interrupts() -> None:
    """Remember a SIGINT in `received` where it raises KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _raise(lambda number: KeyboardInterrupt()))


@contextlib.contextmanager
def signals_wait() -> Iterator[None]:
    """Block the signals that end a run: C code in an import replaces their exception, and code that runs
    at a fork loses it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, even by SIGKILL.

    An orphan would keep the experiment's lock.
    """
    with contextlib.suppress(AttributeError, OSError):  # Linux only
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)

"""Signals that end a run."""

import contextlib
import ctypes
import os
import signal
from typing import Any, Iterator, List, NoReturn

PR_SET_PDEATHSIG = 1  # linux/prctl.h
received: List[int] = []  # signals that asked this process to end
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asks this process to end. No KeyboardInterrupt, which click would take for its own."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into Interrupted; one that is ignored, as by nohup, stays so."""

    def interrupt(number: int, frame: Any) -> NoReturn:
        received.append(number)
        raise Interrupted(number)

    before = {number: signal.getsignal(number) for number in ENDING}
    for number, action in before.items():
        if action is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def note_interrupts() -> None:
    """Keep note of SIGINT too where it raises KeyboardInterrupt."""

    def interrupt(number: int, frame: Any) -> NoReturn:
        received.append(number)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


@contextlib.contextmanager
def signals_wait() -> Iterator[None]:
    """Let signals that end a run wait: in an import C code turns their exception into its own, and what is
    called at a fork loses it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, even by SIGKILL.

    One left over would keep the experiment's lock.
    """
    with contextlib.suppress(AttributeError, OSError):  # Linux only
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)

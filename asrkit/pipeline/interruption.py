"""Signals that ask a run to end."""

import contextlib
import signal
from typing import Any, Iterator, NoReturn


class Interrupted(BaseException):
    """A signal asks this process to end. No KeyboardInterrupt, which click would take for its own."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into Interrupted; one that is ignored, as by nohup, stays so."""

    def interrupt(number: int, frame: Any) -> NoReturn:
        raise Interrupted(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number, action in before.items():
        if action is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)

"""Standard output and error: names can't steer the terminal, and any text can be printed."""

import contextlib
import os
import sys
from typing import Any, Iterator, TextIO, cast

from asrkit.errors import UserError, escape


class OutputClosed(Exception):
    """Nobody reads standard output or error any more, as after `| head -1`."""


class TerminalStream:
    """A text stream that escapes control characters, and what its encoding lacks.

    Line breaks and tabs are kept, and a carriage return that begins a write: a progress bar's. Raises
    OutputClosed when nobody reads it, UserError when it can't be written, as on a full disk.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write text, escaped."""
        begin = "\r" if text.startswith("\r") else ""
        with self._failures():
            self._stream.write(begin + escape(text[len(begin) :], "\n\t"))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        with self._failures():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise OutputClosed from None
        except OSError as error:
            raise UserError(
                f"can't write what is printed: {error.strerror or error}",
                expected="a terminal, a pipe, or a file with free space",
                where=str(getattr(self._stream, "name", "")),
                todo="free some space, or print elsewhere; the same command resumes",
            ) from None


def terminal_stream(stream: TextIO) -> TextIO:
    """The stream as a TerminalStream."""
    return cast(TextIO, TerminalStream(stream))


@contextlib.contextmanager
def guarded_output() -> Iterator[None]:
    """Make sys.stdout and sys.stderr TerminalStreams; those of the three standard streams that are closed
    become /dev/null, or the next files to be opened would be taken for them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    before = (
        sys.stdout or open(1, "w", encoding="utf-8", closefd=False),  # noqa: SIM115
        sys.stderr or open(2, "w", encoding="utf-8", closefd=False),  # noqa: SIM115
    )
    sys.stdout, sys.stderr = map(terminal_stream, before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def discard_output() -> None:
    """Send what is still in the buffers to /dev/null, so that the interpreter's end is quiet."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)

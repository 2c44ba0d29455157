"""What a run prints: standard output and error, safe for a terminal, and the log of each stage."""

import contextlib
import datetime
import os
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, TextIO, cast

from asrkit.errors import UserError, escape
from asrkit.storage.files import remove


class OutputClosed(Exception):
    """Nobody reads standard output or error any more, as after `| head -1`."""


class TerminalStream:
    """A text stream that escapes control characters and what its encoding lacks.

    Line breaks and tabs are kept, and so is a carriage return at the start of a write: a progress bar's.
    Raises OutputClosed when nobody reads it, UserError when it can't be written, as on a full disk.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write text, escaped."""
        start = "\r" if text.startswith("\r") else ""
        with self._failures():
            self._stream.write(start + escape(text[len(start) :], "\n\t"))
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
                f"can't write the output: {error.strerror or error}",
                "a terminal, a pipe, or a file with free space",
                str(getattr(self._stream, "name", "")),
                "free some space or redirect the output; the same command resumes",
            ) from None


def terminal_stream(stream: TextIO) -> TextIO:
    """The stream as a TerminalStream."""
    return cast(TextIO, TerminalStream(stream))


@contextlib.contextmanager
def guarded_output() -> Iterator[None]:
    """Make sys.stdout and sys.stderr TerminalStreams.

    Closed standard streams become /dev/null; otherwise the next files to be opened would take their numbers.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
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
    """Redirect what is still buffered to /dev/null, so that Python exits quietly."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


class StageLog:
    """Appends to EXP/logs/STAGE.log; of a line that a progress bar redraws only the last state is kept."""

    def __init__(self, file: Path, title: str) -> None:
        self.file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.is_file():
                remove(file)  # a folder, or a dangling link
            self._stream: TextIO = open(file, "a", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            found = f"can't write the log {file}: {error.strerror}"
            todo = "move away what is there or fix the permissions, then run the same command"
            raise UserError(found, "a writable file", str(error.filename), todo) from None
        self._unfinished: Dict[str, str] = {}
        self.write_line(f"==== {datetime.date.today()} {title}")

    def write_line(self, line: str) -> None:
        """Append one line with the time, control characters escaped."""
        text = escape(line, "\t")
        with contextlib.suppress(OSError):  # a full disk: the stage that hits it reports it
            self._stream.write(f"{datetime.datetime.now():%H:%M:%S} {text}\n")
            self._stream.flush()

    def feed(self, channel: str, text: str) -> None:
        """Append output of a channel; an incomplete line waits for its end."""
        *lines, rest = (self._unfinished.get(channel, "") + text).split("\n")
        for line in lines:
            self.write_line(_last_drawn(line))
        self._unfinished[channel] = rest.rpartition("\r")[2] if len(rest) > 10_000 else rest

    def close(self) -> None:
        """Append incomplete lines and close the file."""
        for rest in filter(None, self._unfinished.values()):
            self.write_line(_last_drawn(rest))
        with contextlib.suppress(OSError):
            self._stream.close()


def _last_drawn(line: str) -> str:
    drawn = [part for part in line.split("\r") if part.strip()]
    return drawn[-1].rstrip() if drawn else ""

"""The log of a stage: every line that it prints, with the time."""

import codecs
import contextlib
import datetime
from pathlib import Path
from typing import Dict, TextIO

from asrkit.errors import UserError, escape
from asrkit.storage.files import remove


class StageLog:
    """Appends to EXP/logs/<N>-<stage>.log; a line that a progress bar redraws is kept as it was last."""

    def __init__(self, file: Path, title: str) -> None:
        self.file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.is_file():
                remove(file)  # a folder, or a link that leads nowhere
            self._stream: TextIO = open(file, "a", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise UserError(
                f"can't write the log {file}: {error.strerror}",
                expected="a writable file",
                where=str(error.filename),
                todo="move away what is there or fix the permissions, then run the same command",
            ) from None
        self._unfinished: Dict[str, str] = {}
        self.write_line(f"==== {datetime.date.today()} {title}")

    def write_line(self, line: str) -> None:
        """Append one line with the time, control characters escaped."""
        text = escape(line, "\t")
        with contextlib.suppress(OSError):  # a full disk: the stage that hits it reports it
            self._stream.write(f"{datetime.datetime.now():%H:%M:%S} {text}\n")
            self._stream.flush()

    def feed(self, channel: str, text: str) -> None:
        """Append what came through a channel, line by line as each is complete."""
        *lines, rest = (self._unfinished.get(channel, "") + text).split("\n")
        for line in lines:
            self.write_line(_as_last_drawn(line))
        self._unfinished[channel] = rest.rpartition("\r")[2] if len(rest) > 10_000 else rest

    def close(self) -> None:
        """Append what was begun, and close the file."""
        for rest in self._unfinished.values():
            if rest:
                self.write_line(_as_last_drawn(rest))
        with contextlib.suppress(OSError):
            self._stream.close()


def text_decoder() -> codecs.IncrementalDecoder:
    """Decoder of output that may be cut inside a character or not be UTF-8 at all."""
    return codecs.getincrementaldecoder("utf-8")(errors="replace")


def _as_last_drawn(line: str) -> str:
    drawn = [part for part in line.split("\r") if part.strip()]
    return drawn[-1].rstrip() if drawn else ""

"""Progress of a long step: a bar on a terminal, otherwise a line every 30 s."""

import sys
import time
from typing import Any, Optional, TextIO

from asrkit.errors import escape

LINE_SECONDS = 30.0  # between lines without a terminal


class Progress:
    """Counts finished items, of `total` if known, and the seconds of audio in them.

    Use: `with Progress("features", total=948, unit="utterances") as bar: bar.advance(audio_seconds=3.2)`.
    """

    def __init__(
        self,
        description: str,
        total: Optional[int] = None,
        unit: str = "utterances",
        stream: Optional[TextIO] = None,
    ) -> None:
        self.description = description
        self.total = total
        self.unit = unit
        self.stream = stream or sys.stderr
        self.done = 0
        self.audio_seconds = 0.0
        self._printed = -1  # items on the last line
        self._begun = self._shown = time.monotonic()
        self._bar: Any = None
        if self.stream.isatty():
            from tqdm import tqdm

            # A stage's stream accepts any text; what counts is the terminal that the run started on
            terminal = getattr(sys.__stderr__, "encoding", None) or "utf-8"
            self._bar = tqdm(
                total=total,
                desc=escape(description),
                unit=f" {unit}",
                file=self.stream,
                dynamic_ncols=True,
                ascii=not terminal.lower().startswith("utf"),
            )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: Optional[type], error: Optional[BaseException], trace: Any) -> None:
        if self._bar is not None:
            self._bar.close()
        elif kind is None and self._printed != self.done:
            self._print_line()

    def advance(self, audio_seconds: float = 0.0, count: int = 1) -> None:
        """Count `count` more items, with `audio_seconds` of audio in all."""
        self.done += count
        self.audio_seconds += audio_seconds
        if self._bar is not None:
            if self.audio_seconds:
                self._bar.set_postfix_str(self._throughput(), refresh=False)
            self._bar.update(count)
        elif time.monotonic() - self._shown >= LINE_SECONDS:
            self._print_line()

    def _throughput(self) -> str:
        elapsed = max(time.monotonic() - self._begun, 1e-3)
        return f"{self.audio_seconds / elapsed:.0f} audio s/s"

    def _print_line(self) -> None:
        self._shown, self._printed = time.monotonic(), self.done
        of_total = f"/{self.total}" if self.total is not None else ""
        parts = [f"{self.description}: {self.done}{of_total} {self.unit}"]
        if self.total:
            parts.append(f"{100 * self.done / self.total:.0f} %")
        if self.audio_seconds:
            parts.append(self._throughput())
        parts.append(f"{self._shown - self._begun:.0f} s")
        print(", ".join(parts), file=self.stream, flush=True)

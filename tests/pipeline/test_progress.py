"""Progress on a terminal and without one."""

import io

import pytest

from asrkit.pipeline import progress as module
from asrkit.pipeline.progress import Progress


def test_a_line_comes_every_30_seconds_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    stream = io.StringIO()
    with Progress("features", 8, "utterances", stream) as bar:
        for step in range(8):
            now = 10.0 * (step + 1)
            bar.advance(audio_seconds=20)
    assert stream.getvalue().splitlines() == [
        "features: 3/8 utterances, 38 %, 2 audio s/s, 30 s",
        "features: 6/8 utterances, 75 %, 2 audio s/s, 60 s",
        "features: 8/8 utterances, 100 %, 2 audio s/s, 80 s",
    ]


def test_the_last_line_comes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    stream = io.StringIO()
    with Progress("features", 8, "utterances", stream) as bar:
        now = 30.0
        bar.advance(count=8)
    assert stream.getvalue().splitlines() == ["features: 8/8 utterances, 100 %, 30 s"]


def test_a_failed_step_does_not_look_finished() -> None:
    stream = io.StringIO()
    bar = Progress("features", 8, stream=stream)
    bar.advance()
    bar.__exit__(ValueError, ValueError("no"), None)
    assert stream.getvalue() == ""


def test_a_terminal_has_a_bar_with_throughput() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with Progress("features", 2, "utterances", stream) as bar:
        bar.advance(audio_seconds=3)
        bar.advance(audio_seconds=3)
    assert "2/2" in stream.getvalue()
    assert "audio s/s" in stream.getvalue()


@pytest.mark.parametrize(("encoding", "filled"), [("utf-8", "█"), ("ascii", "#"), ("latin-1", "#")])
def test_a_bar_is_drawn_with_what_the_terminal_has(
    monkeypatch: pytest.MonkeyPatch, encoding: str, filled: str
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(module.sys, "__stderr__", io.TextIOWrapper(io.BytesIO(), encoding))
    stream = Terminal()
    with Progress("a\x1b[31m", 2, "utterances", stream) as bar:
        bar.advance(count=2)
    assert f"|{filled}" in stream.getvalue()
    assert r"a\x1b[31m: " in stream.getvalue()

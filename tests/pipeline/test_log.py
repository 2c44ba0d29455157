"""Logs of stages."""

from pathlib import Path
from typing import List

from asrkit.pipeline.output import StageLog


def lines_of(file: Path) -> List[str]:
    """Lines of a log without their times."""
    return [line.partition(" ")[2] for line in file.read_text(encoding="utf-8").splitlines()]


def test_lines_are_kept_whole_though_they_come_in_pieces(tmp_path: Path) -> None:
    log = StageLog(tmp_path / "logs/a.log", "title")
    log.feed("out", "one\ntw")
    log.feed("err", "warning\n")
    log.feed("out", "o\nthr")
    log.close()
    assert lines_of(log.file)[1:] == ["one", "warning", "two", "thr"]


def test_a_progress_bar_is_kept_as_it_was_last(tmp_path: Path) -> None:
    log = StageLog(tmp_path / "a.log", "title")
    log.feed("err", "\r 10 %\x1b[A\r 20 %")
    log.feed("err", "\r100 %\r\n")
    log.close()
    assert lines_of(log.file)[1:] == ["100 %"]


def test_a_second_log_is_appended(tmp_path: Path) -> None:
    for title in ("first", "second"):
        StageLog(tmp_path / "a.log", title).close()
    assert [line.rpartition(" ")[2] for line in lines_of(tmp_path / "a.log")] == ["first", "second"]

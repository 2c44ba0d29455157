"""A signal in the middle of an import was told as an error of C code, with exit status 1, or was lost."""

from pathlib import Path

from tests.own_process import passes


def test_a_signal_waits_and_is_told_as_one(tmp_path: Path) -> None:
    assert passes(Path(__file__).with_name("signal_in_an_import.py"), 11, tmp_path)

"""Memory that ran out inside k2's search ended or stopped the process, and with it the whole stage."""

from pathlib import Path

import pytest

from tests.own_process import passes

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2


def test_the_utterance_alone_falls_back(tmp_path: Path) -> None:
    assert passes(Path(__file__).with_name("search_out_of_memory.py"), 27, tmp_path)

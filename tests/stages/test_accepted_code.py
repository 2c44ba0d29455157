"""Changed code either raises its stage's version or is accepted as making the same results."""

import json
import sys
from pathlib import Path

import pytest

from asrkit.pipeline import code
from tests.stages.accepted_code import ACCEPTED, differences


def accepted() -> dict:
    """What was accepted; skips under another Python, which writes source text in another way."""
    content = json.loads(ACCEPTED.read_text())
    if content["python"] != list(sys.version_info[:2]):
        pytest.skip(f"the code was accepted under Python {content['python']}")
    return content


def test_no_stage_has_changed_without_a_decision() -> None:
    changed = differences(accepted())
    assert changed == {}, (
        f"the code of these stages has changed: {changed}. If it makes other results, raise the stage's "
        "version in asrkit/stages/. In any case: make accept"
    )


def test_a_change_is_found_and_a_message_is_none(tmp_path: Path) -> None:
    source = (
        '"""A docstring."""\ndef f(x):\n    """One."""\n    print("a", x)\n'
        '    todo = "b"\n    raise ValueError(todo)\n'
    )
    file = tmp_path / "a.py"
    file.write_text(source)
    before = code._analyse(file)
    file.write_text(source.replace("docstring", "line").replace("One", "Two").replace('"a"', '"c"'))
    file.write_text(file.read_text().replace('"b"', 'f"{x} c"') + "# a comment\n")
    assert code._analyse(file) == before
    file.write_text(source.replace("f(x)", "f(x, y=1)"))
    assert code._analyse(file) != before


def test_a_raised_version_needs_no_acceptance() -> None:
    content = accepted()
    content["files"]["asrkit/stages/train.py"] = "other"
    assert differences(content) == {"train": ["asrkit/stages/train.py"]}
    content["versions"]["train"] = 0
    assert differences(content) == {}

"""One word changed in an error message made all stages run again, training included."""

import shutil
from pathlib import Path

import pytest

from tests.known_issues.conftest import Finished
from tests.recipes.miniature import PROJECT


@pytest.mark.parametrize("code", ["message", "helper"])
def test_a_change_of_code_is_shown_and_runs_nothing(yesno: Finished, tmp_path: Path, code: str) -> None:
    for name in ("asrkit", "local", "recipes/yesno", "utils"):
        ignored = shutil.ignore_patterns("__pycache__", "exp", "exp-*", "download")
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=ignored)
    if code == "message":
        file = tmp_path / "asrkit/storage/files.py"
        text = file.read_text()
        assert "run the same command" in text
        file.write_text(text.replace("run the same command", "type the same command"))
    else:
        file = tmp_path / "asrkit/model/acoustic.py"
        file.write_text(file.read_text() + "\n\ndef helper() -> int:\n    return 1\n")
    output = yesno.run(project=tmp_path)
    assert "nothing to do: all 12 stages are fresh" in output
    shown = "train): fresh, its code has changed since: model/acoustic.py; --stage train runs it again"
    assert (shown in output) == (code == "helper")
    assert ("its code has changed" in output) == (code == "helper")

"""With an empty ASRKIT_API_KEY, as an unset ${SECRET} gives, asrkit serve served everyone without a word."""

from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("starlette", reason="needs the extra [serve]")
pytest.importorskip("uvicorn", reason="needs the extra [serve]")

from asrkit.cli.serve import command
from asrkit.errors import UserError


def test_it_is_refused_before_the_model_is_opened(tmp_path: Path) -> None:
    found = CliRunner().invoke(command, ["--exp", str(tmp_path)], env={"ASRKIT_API_KEY": ""})
    assert isinstance(found.exception, UserError)
    assert found.exception.found == "ASRKIT_API_KEY is empty"
    assert "unset ASRKIT_API_KEY" in found.exception.todo

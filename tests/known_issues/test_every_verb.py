"""A verb whose module named another that had moved ended in ModuleNotFoundError."""

import pytest
from click.testing import CliRunner

from asrkit.cli.main import VERBS, asrkit


@pytest.mark.parametrize("verb", VERBS)
def test_verb_prints_its_help(verb: str) -> None:
    found = CliRunner().invoke(asrkit, [verb, "--help"], catch_exceptions=False)
    assert found.exit_code == 0
    assert "Usage:" in found.output

"""A verb whose module named another that had moved ended in ModuleNotFoundError."""

import pytest
from click.testing import CliRunner

from asrkit.cli.main import VERBS, asrkit


@pytest.mark.parametrize("verb", VERBS)
def test_verb_prints_its_help(verb: str) -> None:
    if verb in ("graph", "evaluate"):
        pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
    found = CliRunner().invoke(asrkit, [verb, "--help"], catch_exceptions=False)
    assert found.exit_code == 0
    assert "Usage:" in found.output

"""An unknown verb of asrkit: what was probably meant, exit status 2."""

import pytest

from asrkit.cli.main import main


@pytest.mark.parametrize(
    ("verb", "todo"),
    [
        ("transcibe", "To do: asrkit transcribe"),
        ("score", "To do: recipes/NAME/run.sh --stage score --stop-stage score"),
        ("status", "To do: recipes/NAME/run.sh --status"),
        ("qqq", "To do: asrkit --help lists the verbs"),
    ],
)
def test_an_unknown_verb(verb: str, todo: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([verb])
    assert end.value.code == 2
    assert todo in capsys.readouterr().err

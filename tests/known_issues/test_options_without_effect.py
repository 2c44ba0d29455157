"""transcribe, export and serve accepted impossible values, such as --queue -1, and options without effect."""

from pathlib import Path
from typing import List

import pytest
from click.testing import CliRunner

from asrkit.cli.main import asrkit
from asrkit.errors import UserError
from asrkit.recognise.hotwords import read_hotwords


def message(words: List[str]) -> str:
    """The error message of a command."""
    try:
        found = CliRunner().invoke(asrkit, words, catch_exceptions=False)
    except UserError as error:
        return f"{error}"
    assert found.exit_code == 2
    return found.output


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--queue", "-1"),
        ("--time-limit", "0"),
        ("--time-limit", "nan"),
        ("--max-duration", "inf"),
        ("--max-upload", "0"),
        ("--chunk", "nan"),
    ],
)
def test_impossible_values_of_serve_are_refused(option: str, value: str) -> None:
    assert f"Invalid value for '{option}'" in message(["serve", "--exp", "EXP", option, value])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["transcribe", "FILE", "--hotwords-score", "nan"], "Invalid value for '--hotwords-score'"),
        (["transcribe", "FILE", "--hotwords-score", "2"], "--hotwords-score without --hotwords"),
        (["transcribe", "FILE", "--stream", "--hotwords-score", "2"], "--stream with --hotwords-score"),
        (["transcribe", "FILE", "--chunk", "0.64"], "--chunk without --stream"),
        (["export", "BUNDLE", "--chunk", "0.64"], "--chunk without --streaming"),
        (["serve", "--language", "de"], "--language without --wyoming"),
        (["serve", "--language", "German", "--wyoming", "10300"], "language German"),
        (["check-results", "--set-name", "a", "--method", "1best", "--max-rate", "nan"], "'--max-rate'"),
    ],
)
def test_options_without_an_effect_are_refused(tmp_path: Path, words: List[str], expected: str) -> None:
    (tmp_path / "FILE").write_text("")
    words = [str(tmp_path / word) if word == "FILE" else word for word in words]
    assert expected in message([*words, "--exp", str(tmp_path)])


def test_a_weight_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("JOHN\n")
    with pytest.raises(UserError, match="the weight nan") as error:
        read_hotwords(tmp_path / "names.txt", float("nan"))
    assert error.value.where == "--hotwords-score"

"""speak --lines with a misspelt speaker, or an empty text file, removed the table of an earlier run."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, List

import numpy as np
import pytest
from click.testing import CliRunner

from asrkit.cli.speak import command
from asrkit.config.recipe import FeaturesConfig
from asrkit.config.symbols import BLANK_SYMBOL
from asrkit.errors import UserError
from asrkit.synthesis import speaking
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units

TABLE = "path\ttext\tspeaker\tsplit\n000000.flac\ta\tanna\ttrain\n"


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output of an earlier run."""
    voice: Any = SimpleNamespace(speakers=["anna", "otto"])
    units = Units([BLANK_SYMBOL, "A"], [Pronunciation("a", ("A",))])
    speaker = speaking.Speaker(voice, units, FeaturesConfig())
    monkeypatch.setattr(speaking, "open_speaker", lambda place: speaker)
    monkeypatch.setattr(speaking.Speaker, "speak", lambda *_: np.zeros(160, np.float32))
    (tmp_path / "lines.txt").write_text("a\na a\n")
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "unknown.txt").write_text("a\nb\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/synthetic.tsv").write_text(TABLE)
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("texts", "options", "message", "todo"),
    [
        ("lines.txt", ["--speaker", "ana"], "no speaker ana", "--speaker anna"),
        ("empty.txt", [], "empty.txt has no text", "write some lines"),
        ("unknown.txt", [], "no units for b", "letter case|write numbers"),
    ],
)
def test_a_mistake_removes_nothing(
    output: Path, texts: str, options: List[str], message: str, todo: str
) -> None:
    words = [str(output.parent / texts), str(output), "--exp", "EXP", "--lines", *options]
    with pytest.raises(UserError, match=message) as error:
        CliRunner().invoke(command, words, catch_exceptions=False)
    assert error.match(message) and re.search(todo, error.value.todo)
    assert (output / "synthetic.tsv").read_text() == TABLE


def test_other_texts_replace_the_table(output: Path) -> None:
    words = [str(output.parent / "lines.txt"), str(output), "--exp", "EXP", "--lines", "--speaker", "otto"]
    CliRunner().invoke(command, words, catch_exceptions=False)
    rows = (output / "synthetic.tsv").read_text().splitlines()[1:]
    assert rows == ["000000.flac\ta\totto\ttrain", "000001.flac\ta a\totto\ttrain"]

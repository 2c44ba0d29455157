"""new-recipe advised to raise a setting, but accepted no settings."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from asrkit.cli.new_recipe import command
from asrkit.config import load_config
from asrkit.errors import UserError
from tests.corpus.sound import noise, write_audio


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A table of 12 utterances, 4 of them too long."""
    rows = ["path\ttext\tspeaker\n"]
    for number in range(12):
        write_audio(
            tmp_path / "c" / f"u{number:02d}.wav", noise(2.5 if number % 3 else 41.0, number, 8000), 8000
        )
        rows.append(f"u{number:02d}.wav\thello number one\ts{number}\n")
    (tmp_path / "c" / "all.tsv").write_text("".join(rows))
    (tmp_path / "recipes").mkdir()
    return tmp_path / "c" / "all.tsv"


def new_recipe(corpus: Path, *options: str) -> Path:
    """recipe.yaml of the new recipe; raises what the command raises."""
    recipes = corpus.parent.parent / "recipes"
    arguments = ["new", "--from", str(corpus), "--recipes", str(recipes), "--nj", "1", *options]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return recipes / "new" / "recipe.yaml"


def test_the_advice_can_be_followed(corpus: Path) -> None:
    with pytest.raises(UserError, match="can't be used") as caught:
        new_recipe(corpus)
    damaged, longer = (part.strip() for part in caught.value.todo.split(";"))
    settings = shlex.split(damaged.partition(": ")[2])
    assert settings[0] == "--set"
    assert settings[1].startswith("corpus.max_bad_fraction=0.")
    assert longer.endswith("--set corpus.max_duration=SECONDS")
    file = new_recipe(corpus, *settings)
    assert f"max_bad_fraction: {settings[1].partition('=')[2]} # given with --set" in file.read_text()
    assert load_config(file).corpus.max_duration == 40.0


def test_max_duration_accepts_longer_utterances(corpus: Path) -> None:
    file = new_recipe(corpus, "--set", "corpus.max_duration=50", "--set", "train.epochs=3")
    config = load_config(file)
    assert (config.corpus.max_duration, config.train.epochs) == (50.0, 3)
    assert config.corpus.max_bad_fraction == 0.01
    assert file.read_text().count("epochs") == 1


@pytest.mark.parametrize(
    "assignment", ["corpus.max_bad=0.5", "corpus.max_duration=long", "train.epochs", "nothing=1", "=1", ""]
)
def test_a_wrong_setting_is_refused_before_anything_is_read(corpus: Path, assignment: str) -> None:
    with pytest.raises(UserError) as caught:
        new_recipe(corpus, "--set", assignment)
    assert "tmp" not in str(caught.value)
    assert not (corpus.parent.parent / "recipes/new").exists()

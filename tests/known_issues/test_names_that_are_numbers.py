"""--set 'corpus.dev_speakers=[001, 19]' was refused, for YAML takes such names for numbers."""

from pathlib import Path

import pytest

from asrkit.config import load_config
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment, write_settings

NAMES = (
    *("26", "001", "1e3", "0x10", "1_000", "12:30", "2024-01-01", "1.0", ".inf", "=", "~"),
    *("yes", "No", "null", "on", "plain"),
)


def recipe_with(folder: Path, lines: str) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(f"name: 2024\ncorpus:\n  module: tsv\n{lines}")
    return file


@pytest.mark.parametrize("name", NAMES)
def test_names_are_taken_as_they_are_written(tmp_path: Path, name: str) -> None:
    plain = recipe_with(tmp_path, "")
    config = load_config(plain, assignments=[f"corpus.dev_speakers=[{name}, a]"])
    assert config.corpus.dev_speakers == (name, "a")
    written = load_config(recipe_with(tmp_path, f"  dev_speakers:\n  - {name}\n"))
    assert (written.name, written.corpus.dev_speakers) == ("2024", (name,))
    experiment = Experiment(config, tmp_path / "exp", tmp_path, tmp_path, 1)
    (tmp_path / "exp").mkdir()
    write_settings(experiment.directory, config)
    assert load_config(tmp_path / "exp" / "recipe.yaml") == config
    if name not in ("12:30", "=", "~", ".inf"):  # which aren't names of splits
        assert load_config(plain, assignments=[f"corpus.train={name}"]).corpus.train == name


def test_other_settings_have_numbers_and_null(tmp_path: Path) -> None:
    assignments = ["train.epochs=012", "train.learning_rate=1e-3", "lm.text=null", "units.lexicon=007"]
    config = load_config(recipe_with(tmp_path, ""), assignments=assignments)
    assert (config.train.epochs, config.train.learning_rate) == (10, 0.001)  # YAML's octal, as before
    assert (config.lm.text, config.units.lexicon) == (None, "007")


def test_one_name_for_a_list_says_how_a_list_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a list: \[A, B\]"):
        load_config(recipe_with(tmp_path, ""), assignments=["corpus.dev_speakers=26"])


def test_an_unknown_key_that_is_a_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown setting corpus\.007"):
        load_config(recipe_with(tmp_path, "  007: 1\n"))

"""A split of a table called test/../../../victim had files outside the experiment written."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from asrkit.cli.new_recipe import command
from asrkit.config import load_config
from asrkit.config.recipe import CorpusConfig
from asrkit.corpus.splits import sets_of
from asrkit.errors import UserError
from tests.corpus.sound import noise, write_audio

NAMES = [
    "train/clean",
    "test/../../../victim",
    "..",
    ".hidden",
    "",
    "/etc",
    "a b",
    "tést",
    "test\n",
    "a" * 101,
    "~$x",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("setting", ["train", "dev", "tests", "held_out", "train_sets", "dev_sets"])
def test_no_setting_takes_such_a_name(name: str, setting: str) -> None:
    value = name if setting in ("train", "dev") else ("test", name)
    with pytest.raises(UserError, match="the name of a split") as caught:
        CorpusConfig(module="any", **{setting: value})
    assert caught.value.where == f"corpus.{setting}" and repr(name)[:90] in caught.value.found


def test_a_recipe_and_its_assignments_are_refused_too(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: x\ncorpus: {module: tsv}\n")
    with pytest.raises(UserError, match=r"'\.\./x'"):
        load_config(recipe, assignments=["corpus.tests=[../x]"])
    recipe.write_text("name: x\ncorpus: {module: tsv, dev: dev/clean}\n")
    with pytest.raises(UserError, match="'dev/clean'"):
        load_config(recipe)


@pytest.mark.parametrize("name", ["train/clean", "train.\u202edlo"])
def test_new_recipe_refuses_a_table_with_such_a_split_and_writes_nothing(tmp_path: Path, name: str) -> None:
    write_audio(tmp_path / "c" / "a.wav", noise(1, 1))
    (tmp_path / "c" / "all.tsv").write_text(f"path\ttext\tspeaker\tsplit\na.wav\tONE\ts\t{name}\n", "utf-8")
    (tmp_path / "recipes").mkdir()
    arguments = ["bad", "--from", str(tmp_path / "c" / "all.tsv"), "--recipes", str(tmp_path / "recipes")]
    with pytest.raises(UserError, match="the name of a split"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert list((tmp_path / "recipes").iterdir()) == []


def test_usual_names_are_taken() -> None:
    names = ("test-clean", "test_other", "eval2000.swbd", "001", "-x")
    assert set(names) < set(sets_of(CorpusConfig(module="any", tests=names)))

"""With splits given by --set, new-recipe wrote recipes that stage manifests refused or that lost data."""

from pathlib import Path
from typing import Dict, List, Sequence

import pytest
from click.testing import CliRunner

from asrkit.cli.new_recipe import command
from asrkit.config import CorpusConfig, load_config
from asrkit.corpus.splits import hold_out
from asrkit.corpus.utterance import Utterance
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.stages import manifests
from asrkit.storage.files import read_json
from tests.corpus.sound import noise, write_audio


def write_corpus(folder: Path, splits: Sequence[str], each: int = 20) -> None:
    """A table with `each` utterances per split, of ten speakers."""
    rows = ["path\ttext\tspeaker\tsplit\n"]
    for number in range(each * len(splits)):
        split = splits[number // each]
        write_audio(folder / f"u{number:02d}.wav", noise(0.2, number, 8000), 8000)
        rows.append(f"u{number:02d}.wav\tone two\t{split}-s{number % 10}\t{split}\n")
    (folder / "all.tsv").write_text("".join(rows))


def utterances_of(folder: Path, *settings: str) -> Dict[str, int]:
    """Number of utterances per split in the manifests of the new recipe; expect.json must agree."""
    (folder / "recipes").mkdir()
    options = [word for setting in settings for word in ("--set", setting)]
    arguments = ["new", "--from", str(folder / "c"), "--recipes", str(folder / "recipes"), "--nj", "1"]
    CliRunner().invoke(command, [*arguments, *options], catch_exceptions=False)
    recipe = folder / "recipes" / "new"
    config = load_config(recipe / "recipe.yaml")
    experiment = Experiment(config, folder / "exp", folder / "c", recipe, 1)
    manifests.run(experiment)
    statistics = read_json(experiment.folder("manifests") / "statistics.json")["splits"]
    return {split: of["utterances"] for split, of in statistics.items()}


@pytest.mark.parametrize(
    ("splits", "settings", "expected"),
    [
        (
            ["train-clean", "train-other", "dev", "test"],
            ["corpus.train_sets=[train-clean, train-other]"],
            {"train": 40, "dev": 20, "test": 20},
        ),
        (
            ["train", "test"],
            ["corpus.dev_speakers=[train-s1, train-s2]"],
            {"train": 16, "dev": 4, "test": 20},
        ),
        (["train", "a", "b", "test"], ["corpus.dev_sets=[a, b]"], {"train": 20, "dev": 40, "test": 20}),
        (["train", "other"], ["corpus.tests=[other]"], {"train": 18, "dev": 2, "other": 20}),
        (["learn", "test-b", "dev"], ["corpus.train=learn"], {"learn": 20, "dev": 20, "test-b": 20}),
        (["train-b", "train-long"], ["corpus.tests=[train-b]"], {"train-long": 18, "dev": 2, "train-b": 20}),
        (["train", "dev"], ["corpus.tests=[]"], {"train": 20, "dev": 20}),
        (
            ["train"],
            ["corpus.held_out=[dev, eval]", "corpus.tests=[eval]"],
            {"train": 16, "dev": 2, "eval": 2},
        ),
    ],
)
def test_given_splits_are_those_of_the_recipe(
    tmp_path: Path, splits: List[str], settings: List[str], expected: Dict[str, int]
) -> None:
    write_corpus(tmp_path / "c", splits)
    assert utterances_of(tmp_path, *settings) == expected


def test_a_training_set_that_the_corpus_lacks_is_refused(tmp_path: Path) -> None:
    write_corpus(tmp_path / "c", ["train", "test"], each=2)
    with pytest.raises(UserError, match="no utterances of learn"):
        utterances_of(tmp_path, "corpus.train=learn")


def test_dev_is_defined_by_one_setting_only() -> None:
    with pytest.raises(UserError, match=r"corpus\.held_out has dev, and corpus\.dev_speakers is set"):
        load_config(
            Path("recipes/an4/recipe.yaml"), None, ["corpus.held_out=[dev]", "corpus.dev_speakers=[fjam]"]
        )


def test_speakers_of_dev_are_not_held_out_for_a_test_set() -> None:
    utterances = [
        Utterance(f"s{speaker}-{number}", Path("a.wav"), "ONE", f"s{speaker}", "train")
        for speaker in range(10)
        for number in range(5)
    ]
    for speaker in range(10):
        config = CorpusConfig(module="m", held_out=("test",), dev_speakers=(f"s{speaker}",))
        moved = [one.speaker for one in hold_out(utterances, config) if one.split == "test"]
        assert moved and f"s{speaker}" not in moved

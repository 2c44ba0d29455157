"""new-recipe gave advice that can't be followed for 1 to 3 rows, an absent --recipes, and corpus.dev=test.

A split of corpus.held_out was merged silently with a split of the same name in the corpus.
"""

from pathlib import Path
from typing import Dict, Sequence

import pytest
from click.testing import CliRunner

from asrkit.cli.new_recipe import command
from asrkit.config import CorpusConfig
from asrkit.corpus.splits import hold_out
from asrkit.corpus.utterance import Utterance
from asrkit.errors import UserError
from tests.corpus.sound import noise, write_audio
from tests.known_issues.test_given_splits import utterances_of, write_corpus


def write_rows(folder: Path, splits: Sequence[str]) -> None:
    """A table with a row per split; "" for a table without that column."""
    rows = ["path\ttext\tspeaker\tsplit\n" if any(splits) else "path\ttext\tspeaker\n"]
    for number, split in enumerate(splits):
        write_audio(folder / f"u{number}.wav", noise(0.2, number, 8000), 8000)
        rows.append("\t".join(filter(None, (f"u{number}.wav", "one two", f"s{number}", split))) + "\n")
    (folder / "all.tsv").write_text("".join(rows))


@pytest.mark.parametrize("count", [1, 3, 4])
def test_too_few_rows_to_hold_out(tmp_path: Path, count: int) -> None:
    write_rows(tmp_path / "c", [""] * count)
    with pytest.raises(UserError, match=f"train has {count} utterances, too few to hold out") as error:
        utterances_of(tmp_path)
    assert error.value.expected.startswith("5 or more") and "column split" in error.value.todo
    assert "stage download" not in str(error.value)


@pytest.mark.parametrize("splits", [[""] * 5, ["train", "dev", "test"]])
def test_what_is_advised_for_few_rows_works(tmp_path: Path, splits: Sequence[str]) -> None:
    write_rows(tmp_path / "c", splits)
    assert min(utterances_of(tmp_path).values()) == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["corpus.dev=test"], {"train": 18, "test": 20, "test2": 2}),
        (["corpus.tests=[dev]"], {"train": 18, "dev2": 2, "dev": 20}),
    ],
)
def test_a_set_that_is_used_otherwise_is_held_out_under_another_name(
    tmp_path: Path, settings: Sequence[str], expected: Dict[str, int]
) -> None:
    write_corpus(tmp_path / "c", ["train", "test" if "test2" in expected else "dev"])
    assert utterances_of(tmp_path, *settings) == expected


def test_an_absent_folder_of_recipes(tmp_path: Path) -> None:
    write_rows(tmp_path / "c", [""] * 5)
    recipes = tmp_path / "my recipes"
    words = ["new", "--from", str(tmp_path / "c"), "--recipes", str(recipes), "--nj", "1"]
    with pytest.raises(UserError) as error:
        CliRunner().invoke(command, words, catch_exceptions=False)
    assert f"mkdir -p '{recipes}'" in error.value.todo
    recipes.mkdir()
    CliRunner().invoke(command, words, catch_exceptions=False)
    assert (recipes / "new" / "run.sh").exists()


def test_a_set_of_the_corpus_is_not_held_out() -> None:
    utterances = [
        Utterance(f"u{number}", Path("a.wav"), "ONE", f"s{number}", "train" if number else "test")
        for number in range(20)
    ]
    config = CorpusConfig(module="any", held_out=("dev", "test"))
    with pytest.raises(UserError, match="the corpus has a set test of 1 utterances") as error:
        hold_out(utterances, config)
    assert "--set 'corpus.held_out=[dev]'" in error.value.todo

"""Outputs of a recipe's own stages became links to themselves, were left from earlier, or never fresh."""

import os
from pathlib import Path
from typing import List, Sequence

import pytest

from asrkit.config.recipe import CorpusConfig, RecipeConfig
from asrkit.errors import UserError
from asrkit.pipeline.command import run_command
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.requirements import check_inputs
from asrkit.pipeline.stage import Stage
from asrkit.stages.table import SEPARATOR, make_pipeline
from asrkit.storage.files import write_text


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    made = Experiment(
        config=RecipeConfig(name="tiny", corpus=CorpusConfig(module="tiny")),
        directory=tmp_path / "an exp",
        corpus_directory=tmp_path / "corpus",
        recipe_directory=tmp_path / "recipe",
        jobs=1,
    )
    write_text(made.recipe_directory / "recipe.yaml", "name: tiny\n")
    write_text(made.directory / "lm" / "lm.arpa", "an ARPA file")
    return made


def own(command: str, *writes: str, reads: Sequence[str] = ()) -> Stage:
    return Stage("lists", "", reads=tuple(reads), writes=writes, number="9", command=("bash", "-c", command))


def there(experiment: Experiment) -> List[str]:
    return sorted(file.name for file in (experiment.directory / "lists").iterdir())


def test_outputs_of_a_pattern_are_replaced_as_a_whole(experiment: Experiment) -> None:
    run_command(own('cd "$EXP/lists"; echo 1 > "a b.txt"; echo 1 > b.txt', "lists/*.txt"), experiment)
    assert there(experiment) == ["a b.txt", "b.txt"]
    write_text(experiment.directory / "lists" / "other.tsv", "of another stage")
    run_command(own('echo 2 > "$EXP/lists/a b.txt"', "lists/*.txt"), experiment)
    assert there(experiment) == ["a b.txt", "other.tsv"]
    assert (experiment.directory / "lists" / "a b.txt").read_text() == "2\n"


@pytest.mark.parametrize(
    "command",
    [
        'echo 3 > "$EXP/lists/a.txt"; exit 3',
        "true",
        'mkfifo "$EXP/lists/a.txt"',
        'ln -s "$EXP/lm/lm.arpa" "$EXP/lists/a.txt"',
    ],
)
@pytest.mark.parametrize("writes", ["lists/a.txt", "lists/*.txt", "lists"])
def test_what_was_there_stays_unless_all_is_written(
    experiment: Experiment, command: str, writes: str
) -> None:
    run_command(own('mkdir -p "$EXP/lists"; echo 1 > "$EXP/lists/a.txt"', writes), experiment)
    with pytest.raises(UserError, match="the command of stage 9"):
        run_command(own(f'mkdir -p "$EXP/lists"; {command}', writes), experiment)
    assert (experiment.directory / "lists" / "a.txt").read_text() == "1\n"
    assert not (experiment.directory / "lists" / "a.txt").is_symlink()


def test_new_files_elsewhere_are_dropped(experiment: Experiment) -> None:
    command = 'echo x > "$EXP/lists/a"; echo x > "$EXP/lm/new"; cat "$EXP/lm/lm.arpa" >> "$EXP/lists/a"'
    (experiment.directory / "lists" / "a").mkdir(parents=True)  # a file may take its place
    run_command(own(command, "lists/a"), experiment)
    assert (experiment.directory / "lists" / "a").read_text() == "x\nan ARPA file"
    assert os.listdir(experiment.directory / "lm") == ["lm.arpa"]


def test_patterns_that_stand_for_nothing(experiment: Experiment) -> None:
    with pytest.raises(UserError, match=r"reads lm/\*\.arp, which is missing"):
        check_inputs(own("true", "a", reads=["lm/*.arp"]), [], experiment)
    with pytest.raises(UserError, match="no setting tests"):
        check_inputs(own("true", "a", reads=["score/{tests}_hlg.txt"]), [], experiment)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["10 own - --writes score/longest.txt -- x"], "where asrkit itself writes"),
        (["10 own - --writes lm.next/x -- x"], "where asrkit itself writes"),
        (["10 own - --writes */x -- x"], "where asrkit itself writes"),
        (["10 own - --writes results.json -- x"], "where asrkit itself writes"),
        (["10 own - --writes ./stages/x -- x"], "isn't below EXP"),
        (["10 own - --writes .command/x -- x"], "isn't below EXP"),
        (["10 own - --writes  -- x"], "isn't below EXP"),
        (["10 own - --reads a/* --writes a/x? -- x"], "only stage own will write"),
        (["1 a - --writes l/*.txt -- x", "2 b - --writes l/b.txt -- x"], "which stage a writes too"),
        (["1 a - --reads l/b --writes c -- x", "2 b - --writes l -- x"], "only stage b will write"),
        (["3 a - --reads score/x --writes c -- x", "9 score -"], "only stage score will write"),
    ],
)
def test_lines_that_would_never_be_fresh_are_refused(lines: Sequence[str], found: str) -> None:
    with pytest.raises(UserError, match=found):
        make_pipeline([SEPARATOR.join(line.split(" ")) for line in lines])

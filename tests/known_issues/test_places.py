"""Folders, variables and shells in which run.sh, an experiment or a new recipe did not work."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from asrkit.onboarding.recipe_folder import write_recipe
from asrkit.onboarding.source import Source
from asrkit.onboarding.suggestion import Suggestion
from asrkit.pipeline.experiment import REPOSITORY
from tests.pipeline.toy import Toy

SCRIPTS = [
    *sorted(REPOSITORY.glob("utils/*.sh")),
    *sorted(REPOSITORY.glob("recipes/*/run.sh")),
    REPOSITORY / ".ci/run",
]
ASRKIT = """#!/usr/bin/env bash
printf '%s\\n' "$@"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project's shell, with an asrkit that prints its arguments."""
    folder = tmp_path / 'a check$out\'s "copy"\nof two lines'
    for name in ("utils", "recipes"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("exp", "download"))
    program = folder / ".venv/bin/asrkit"
    program.parent.mkdir(parents=True)
    program.write_text(ASRKIT)
    program.chmod(0o755)
    return folder


def bash(command: str, folder: Path, **variables: str) -> str:
    """What a command prints, in a folder, with no other variables than PATH."""
    environment = {"PATH": os.environ["PATH"], **variables}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    "command", ["recipes/yesno/run.sh --status", "cd ./recipes/yesno; bash run.sh --status"]
)
@pytest.mark.parametrize("cdpath", ["", ".", ".:/tmp", "/", "recipes:utils"])
def test_run_sh_finds_its_recipe_from_anywhere(checkout: Path, command: str, cdpath: str) -> None:
    variables = {"CDPATH": cdpath} if cdpath else {}
    printed = bash(command, checkout, **variables)
    begin = f"run\n--recipe\n{checkout}/recipes/yesno\n--line\n0\x1fdownload\x1f"
    assert begin in printed
    assert printed.endswith("\n--status\n")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: f"{script.parent.name}/{script.name}")
def test_no_script_lets_cdpath_say_where_cd_goes(script: Path) -> None:
    text = script.read_text()
    place = re.search(r"^\s*cd |\$\(cd ", text, re.MULTILINE)
    assert place is None or -1 < text.find("unset CDPATH") < place.start()


def test_a_supported_python_is_looked_for_without_home() -> None:
    script = REPOSITORY / "utils/find_python.sh"
    done = subprocess.run(["bash", script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert "unbound variable" not in done.stderr


@pytest.mark.parametrize("name", ["recipes", "my recipes", 'it\'s "$HOME" `x`', "-n", "two\nlines"])
def test_a_recipe_elsewhere_finds_the_project(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name / "new"
    settings = [Suggestion("corpus.module", "tsv")]
    write_recipe(directory, Source("tsv", tmp_path, form="a table"), settings, {}, {})
    printed = bash("./new/run.sh --help; cd new && bash run.sh --help", tmp_path / name)
    assert printed.count("Run the stages of a recipe") == 2


@pytest.mark.parametrize("name", ["a b", 'it\'s "$HOME" `x`', "two\nlines", "\u4f60\u597d", "[a]*?", "-n"])
def test_an_experiment_may_have_any_name(toy: Toy, name: str) -> None:
    options = ("--exp", str(toy.folder / name), "--corpus-dir", str(toy.folder / f"{name} corpus"))
    assert len(toy.ran(toy.run(*options))) == 4
    assert "nothing to do" in toy.run(*options)


def test_neither_home_nor_a_folder_for_temporary_files_is_needed(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setenv("TMPDIR", str(toy.folder / "absent"))
    assert len(toy.ran(toy.run())) == 4


@pytest.mark.parametrize("inside", ["exp", "deep/below/exp", "link/exp"])
def test_an_experiment_inside_the_corpus_is_no_part_of_it(toy: Toy, inside: str) -> None:
    toy.run()
    (toy.folder / "elsewhere").mkdir()
    (toy.corpus / "link").symlink_to(toy.folder / "elsewhere")
    exp = ("--exp", str(toy.corpus / inside))
    assert len(toy.ran(toy.run(*exp))) == 4
    assert "nothing to do" in toy.run(*exp)
    # nor is another one, run meanwhile
    other = ("--exp", str(toy.corpus / "other"))
    toy.run(*other)
    assert "nothing to do" in toy.run(*exp)
    assert "nothing to do" in toy.run(*other)
    (toy.corpus / "new.wav").write_text("no")
    assert toy.states(*exp)["collect"].startswith("stale: audio new.wav is new")


def test_a_corpus_inside_the_experiment_stays_fresh(toy: Toy) -> None:
    options = ("--corpus-dir", str(toy.exp / "data"))
    toy.run(*options)
    assert "nothing to do" in toy.run(*options)


@pytest.mark.parametrize("inside", ["", "collect", "count/data", "stages", "logs"])
def test_a_corpus_in_a_folder_that_stages_clear_is_refused(toy: Toy, inside: str) -> None:
    corpus = toy.exp / inside
    corpus.mkdir(parents=True)
    (corpus / "a.wav").write_text("no")
    assert "lies in a folder that stages clear" in toy.run("--corpus-dir", str(corpus), status=1)
    assert [file.name for file in toy.exp.rglob("*") if file.is_file()] == ["a.wav"]


def test_the_folder_of_a_recipe_is_no_experiment(toy: Toy) -> None:
    before = (toy.recipe / "recipe.yaml").read_text()
    assert "is the folder of a recipe" in toy.run("--exp", str(toy.recipe), status=1)
    assert (toy.recipe / "recipe.yaml").read_text() == before


@pytest.mark.parametrize("option", ["--status", "--dry-run", "--nj=1"])
def test_a_file_is_no_experiment(toy: Toy, tmp_path: Path, option: str) -> None:
    """--status showed one that was never run."""
    file = tmp_path / "file"
    file.write_text("text")
    assert f"error: {file} is a file" in toy.run("--exp", str(file), option, status=1)

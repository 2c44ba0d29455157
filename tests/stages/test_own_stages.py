"""A recipe with two stages of its own: one between asrkit's, one at the end."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

from asrkit.pipeline.experiment import REPOSITORY

pytestmark = pytest.mark.long

SECOND_HALF = """
stage 1.5 counts "how many words each transcript has" \\
    --reads "manifests/{test}_supervisions.jsonl.gz" --writes counts/words.txt \\
    -- bash count.sh
stage 10 longest "the longest transcripts" --reads counts/words.txt \\
    --writes lists/longest.txt lists/note.txt? \\
    -- bash -c 'sort -rn "$EXP/counts/words.txt" | head -n "${LINES_KEPT:-3}" > "$EXP/lists/longest.txt"'
"""
COUNT = """
set -euo pipefail
echo "counting in $EXP for $RECIPE_DIR with $NJ jobs, corpus $CORPUS_DIR"
zcat "$EXP/manifests/test_supervisions.jsonl.gz" > all
python -c 'import json; [print(len(json.loads(line)["text"].split())) for line in open("all")]' \\
    > "$EXP/counts/words.txt"
rm all
[ -z "${TROUBLE:-}" ] || { echo half > "$EXP/counts/words.txt"; eval "$TROUBLE"; }
"""


class Recipe:
    """recipes/yesno with stages of its own, in a folder that may be changed."""

    def __init__(self, folder: Path, corpus: Path) -> None:
        self.folder, self.corpus, self.exp = folder / "recipes/yesno", corpus, folder / "exp"
        for name in ("recipes/yesno", "utils", "local"):
            ignored = shutil.ignore_patterns("exp*", "download", "__pycache__")
            shutil.copytree(REPOSITORY / name, folder / name, ignore=ignored)
        lines = (self.folder / "run.sh").read_text().splitlines()
        left_out = tuple(f"stage {number} " for number in range(3, 12))  # a recipe that ends with features
        text = "".join(f"{line}\n" for line in lines if not line.startswith(left_out))
        first, last = SECOND_HALF.split("stage 10", 1)
        text = text.replace("stage 2 features", f"{first}stage 2 features")
        text = text.replace('run_stages "$@"', f'stage 10{last}\nrun_stages "$@"')
        (self.folder / "run.sh").write_text(text)
        (self.folder / "count.sh").write_text(COUNT)

    def start(self, *options: str, **variables: str) -> "subprocess.Popen[str]":
        """Start run.sh."""
        command = ["bash", str(self.folder / "run.sh"), "--exp", str(self.exp), "--nj", "2"]
        return subprocess.Popen(
            [*command, "--corpus-dir", str(self.corpus), *options],
            env={**os.environ, "VIRTUAL_ENV": sys.prefix, "PYTHONPATH": str(REPOSITORY), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
        )

    def run(self, *options: str, status: int = 0, **variables: str) -> str:
        """What run.sh prints; its exit status must be `status`."""
        process = self.start(*options, **variables)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == status, output
        return output


@pytest.fixture
def recipe(tmp_path: Path, corpora: Callable[[str], Path]) -> Recipe:
    """A recipe that was never run."""
    pytest.importorskip("lhotse")
    return Recipe(tmp_path, corpora("yesno"))


def test_own_stages_run_in_their_place_and_are_fresh_afterwards(recipe: Recipe) -> None:
    output = recipe.run()
    places = [output.index(f"stage {number} (") for number in ("0", "1", "1.5", "2", "10")]
    assert places == sorted(places)
    assert f"counting in {recipe.exp} " not in output  # EXP is a folder of links until the stage has ended
    assert f"for {recipe.folder} with 2 jobs, corpus {recipe.corpus}" in output
    assert (recipe.exp / "lists/longest.txt").read_text() == "8\n8\n8\n"
    assert len((recipe.exp / "counts/words.txt").read_text().split()) == 30
    assert "counting in" in (recipe.exp / "logs/counts.log").read_text()
    assert "nothing to do: all 5 stages are fresh" in recipe.run()
    assert "1.5 counts" in recipe.run("--help")
    assert [line.split()[1] for line in recipe.run("--status").splitlines()[1:]] == [
        *("download", "manifests", "counts", "features", "longest")
    ]


def test_its_script_command_and_inputs_make_it_stale(recipe: Recipe) -> None:
    recipe.run("--stop-stage", "1.5")
    script = recipe.folder / "count.sh"
    script.write_text(script.read_text().replace("zcat", "gzip -cd"))
    assert "would run stage 1.5 (counts): count.sh changed" in recipe.run("--dry-run")
    recipe.run("--stop-stage", "counts")
    text = (recipe.folder / "run.sh").read_text()
    (recipe.folder / "run.sh").write_text(text.replace("-- bash count.sh", "-- bash -e count.sh"))
    assert "would run stage 1.5 (counts): setting command: " in recipe.run("--dry-run")
    recipe.run("--stop-stage", "counts")
    assert "would run stage 10 (longest): never run" in recipe.run("--dry-run", "--stage", "10")


@pytest.mark.parametrize("trouble", ["exit 3", "kill -9 $$", "rm $EXP/counts/words.txt"])
def test_a_command_that_fails_leaves_what_was_there(recipe: Recipe, trouble: str) -> None:
    recipe.run()
    before = (recipe.exp / "counts/words.txt").read_text()
    output = recipe.run("--stage", "counts", TROUBLE=trouble, status=1)
    assert "error: stage 1.5 (counts): the command of stage 1.5 (counts) " in output
    assert (recipe.exp / "counts/words.txt").read_text() == before
    assert "nothing to do" in recipe.run()


def test_a_kill_leaves_what_was_there_and_the_same_command_resumes(recipe: Recipe) -> None:
    process = recipe.start("--stop-stage", "counts", TROUBLE="echo hung; sleep 1000")
    assert process.stdout is not None
    for line in process.stdout:
        if "hung" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (recipe.exp / "counts/words.txt").exists()
    assert "1.5 counts" in next(line for line in recipe.run("--status").splitlines() if "unfinished" in line)
    recipe.run()
    assert len((recipe.exp / "counts/words.txt").read_text().split()) == 30


def test_without_its_line_a_stage_is_no_part_of_the_recipe(recipe: Recipe) -> None:
    text = (recipe.folder / "run.sh").read_text()
    kept = [line for line in text.splitlines() if not line.startswith("stage 1 ")]
    (recipe.folder / "run.sh").write_text("\n".join(kept))
    output = recipe.run(status=1)
    assert "stage 1.5 (counts) reads manifests/test_supervisions.jsonl.gz, which is missing" in output
    assert "add the line of stage manifests to run.sh" in output


MISTAKES = {
    'stage 1.5 nothing "what"': "nothing is none of download manifests",
    'stage five lm "what"': "no number, name and purpose",
    'stage 9 lm "what"': "number 1.5 after 9; numbers must rise",
    'stage 1.2 train "what" -- echo': "train is a stage of asrkit",
    'stage 1.2 own "what" --writes ../x -- echo': "--writes ../x, which isn't below EXP",
    'stage 1.2 own "what" --reads x -- echo': "own has no --writes",
    'stage 1.2 own/x "what" --writes x -- echo': "the name own/x",
    'stage 1.2 manifests "what"': "stage manifests is declared twice",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_line_that_cannot_be_understood_is_refused(recipe: Recipe, line: str) -> None:
    text = (recipe.folder / "run.sh").read_text()
    (recipe.folder / "run.sh").write_text(text.replace("stage 1.5 counts", f"{line}\nstage 1.5 counts"))
    output = recipe.run("--status", status=1)
    assert f"error: run.sh: {MISTAKES[line]}" in output
    assert "expected: stage N NAME" in output

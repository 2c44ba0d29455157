"""The command line of recipes/*/run.sh: every option, every mistake."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, Tuple

import pytest

from asrkit.pipeline.experiment import REPOSITORY
from asrkit.stages.table import STAGES

RECIPES = sorted(file.parent.name for file in (REPOSITORY / "recipes").glob("*/run.sh"))
OPTIONS = (
    *("--stage", "--stop-stage", "--status", "--dry-run", "--force", "--exp", "--corpus-dir", "--config"),
    *("--set", "--partial", "--init-from", "--nj", "--device", "--debug", "--help"),
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the recipe yesno, and this project's command in the environment."""
    for name in ("recipes/yesno", "utils", "local"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("exp*", "download"))
    return tmp_path


def run(repository: Path, *options: str, **environment: str) -> Tuple[int, str]:
    """Exit status and output of run.sh."""
    command = ["bash", str(repository / "recipes/yesno/run.sh"), *options]
    known: Dict[str, str] = {**os.environ, "VIRTUAL_ENV": sys.prefix, **environment}
    done = subprocess.run(
        command, env=known, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, cwd="/"
    )
    assert "Traceback" not in done.stdout or "--debug" in options
    return done.returncode, done.stdout


def test_help_lists_options_and_stages(repository: Path) -> None:
    status, output = run(repository, "--help")
    assert status == 0
    assert not [option for option in OPTIONS if option not in output]
    for stage in STAGES:
        assert f"{stage.number} {stage.name}" in output


def test_status_lists_ten_stages(repository: Path) -> None:
    status, output = run(repository, "--status")
    assert status == 0
    rows = [line.split()[:3] for line in output.splitlines()]
    assert rows == [["stage", "state", "started"], *([str(s.number), s.name, "new"] for s in STAGES)]
    assert not (repository / "recipes/yesno/exp").exists()


MISTAKES = [
    (["--frobnicate"], 2, "--frobnicate"),
    (["extra"], 2, "unexpected extra argument"),
    (["--nj"], 2, "--nj"),
    (["--nj", "0"], 2, "--nj"),
    (["--nj", "many"], 2, "--nj"),
    (["--stage", "12"], 1, "--stage 12: no such stage"),
    (["--stage", "-1"], 1, "--stage -1: no such stage"),
    (["--stage", "trian"], 1, "--stage trian: no such stage"),
    (["--stop-stage", "ten"], 1, "--stop-stage ten: no such stage"),
    (["--stage", "5", "--stop-stage", "4"], 1, "--stop-stage 4 comes before --stage 5"),
    (["--stage", "5"], 1, "stage 5 (graph) needs stage 3 (units), which was never run"),
    (["--set", "model.dropuot=0.1"], 1, "did you mean model.dropout?"),
    (["--set", "model.dropout=high"], 1, "model.dropout"),
    (["--set", "model.dropout"], 1, "--set section.key=value"),
    (["--config", "/nowhere.yaml"], 1, "can't read /nowhere.yaml"),
    (["--device", "gpu"], 2, "--device"),
    (["--device", "cuda"], 1, "to do:    --device cpu"),
    (["--set", "decode.precision=float16"], 1, "to do:    --device cuda"),
    (["--init-from", "/nowhere.safetensors"], 2, "'/nowhere.safetensors' does not exist"),
]


@pytest.mark.k2  # stage decode asks for it before any stage runs
@pytest.mark.parametrize(("options", "expected", "message"), MISTAKES, ids=[" ".join(m[0]) for m in MISTAKES])
def test_a_mistake_is_reported_and_nothing_is_done(
    repository: Path, options: list, expected: int, message: str
) -> None:
    status, output = run(repository, *options, "--dry-run", CUDA_VISIBLE_DEVICES="")
    assert status == expected
    assert message in output
    assert not (repository / "recipes/yesno/exp").exists()


@pytest.mark.k2  # stage decode asks for it before any stage runs
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "can't read"),
        ("name: [", "not YAML"),
        ("- a list", "found a list"),
        ("name: yesno\n", "corpus"),
        ("name: yesno\ncorpus: {module: yesno}\nfeature: {}\n", "did you mean features?"),
        ("name: yesno\ncorpus: {module: yesno}\ntrain: {epochs: 0}\n", "train.epochs"),
        ("name: yesno\ncorpus: {module: nothing}\n", "nothing"),
    ],
)
def test_a_damaged_recipe_is_reported(repository: Path, content: str, message: str) -> None:
    file = repository / "recipes/yesno/recipe.yaml"
    file.unlink()
    if content is not None:
        file.write_text(content)
    status, output = run(repository)
    assert status == 1
    assert message in output
    assert "error: " in output


@pytest.mark.k2  # stage decode asks for it before any stage runs
def test_init_from_is_a_file_of_the_current_folder(repository: Path) -> None:
    weights = repository / "a: weights.safetensors"  # a name that YAML would take for a mapping
    weights.write_bytes(b"")
    name = os.path.relpath(weights, "/")  # where run() is
    status, output = run(repository, "--init-from", name, "--stage", "6", "--exp", str(repository / "exp"))
    assert status == 1
    assert f"error: can't read {weights}" in output
    assert not (repository / "exp/recipe.yaml").exists()  # nothing was made with these settings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "torchrun started 2 processes for stages 0 to 11"),
        (["--stage", "6", "--stop-stage", "6"], "--set train.processes=2"),
    ],
)
def test_torchrun_is_for_training_alone(repository: Path, options: list, message: str) -> None:
    launched = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    status, output = run(repository, *options, **launched)
    assert status == 1
    assert message in output
    assert not (repository / "recipes/yesno/exp").exists()


def test_a_dry_run_of_torchrun_trains_nothing(repository: Path) -> None:
    launched = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    options = ("--stage", "train", "--stop-stage", "train", "--set", "train.processes=2")
    assert "stage 6 (train) needs stage 2" in run(repository, *options, "--dry-run", **launched)[1]
    assert "6 train" in run(repository, *options, "--status", **launched)[1]


def test_debug_shows_the_traceback(repository: Path) -> None:
    status, output = run(repository, "--set", "model.dropout=high", "--debug")
    assert status == 1
    assert "Traceback" in output


def test_without_an_environment_the_error_gives_the_command(repository: Path) -> None:
    status, output = run(repository, VIRTUAL_ENV="")
    assert status == 1
    assert "make setup" in output


def test_run_sh_with_unknown_stages_is_refused(repository: Path) -> None:
    file = repository / "recipes/yesno/run.sh"
    file.write_text(file.read_text().replace("stage 6 train ", "stage 6 training "))
    status, output = run(repository, "--status")
    assert status == 1
    assert "run.sh: training is none of download" in output


@pytest.mark.parametrize("recipe", RECIPES)
def test_run_sh_is_a_table_of_contents(recipe: str) -> None:
    lines = (REPOSITORY / "recipes" / recipe / "run.sh").read_text().splitlines()
    assert len(lines) <= 60
    named = [line.split()[1:3] for line in lines if line.startswith("stage ")]
    assert named == [[str(stage.number), stage.name] for stage in STAGES]
    assert lines[-1] == 'run_stages "$@"'


def test_shell_helpers_are_short() -> None:
    for file in (REPOSITORY / "utils").glob("*.sh"):
        assert len(file.read_text().splitlines()) < 100

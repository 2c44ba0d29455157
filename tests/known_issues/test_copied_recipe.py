"""A recipe copied out of the project, or run through a link to run.sh, printed an error for each line."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.recipes.miniature import PROJECT

RECIPES = sorted(file.parent.name for file in (PROJECT / "recipes").glob("*/run.sh"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_copy_says_where_it_belongs(tmp_path: Path, recipe: str) -> None:
    shutil.copy(PROJECT / "recipes" / recipe / "run.sh", tmp_path / "run.sh")
    done = subprocess.run([tmp_path / "run.sh"], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"error: {tmp_path}/run.sh isn't in recipes/NAME of its project" in done.stderr
    assert "command not found" not in done.stderr


def test_a_link_to_run_sh_runs_its_recipe(tmp_path: Path) -> None:
    project = tmp_path / "a project"
    for name in ("recipes/yesno/run.sh", "utils/recipe.sh", "utils/cluster.sh"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, project / name)
    asrkit = project / ".venv" / "bin" / "asrkit"
    asrkit.parent.mkdir(parents=True)
    asrkit.write_text('#!/bin/sh\necho "$1" "$2" "$3"\n')
    asrkit.chmod(0o755)
    (tmp_path / "link.sh").symlink_to(project / "recipes" / "yesno" / "run.sh")
    done = subprocess.run(
        [tmp_path / "link.sh"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert done.stdout == f"run --recipe {project}/recipes/yesno\n", done.stderr

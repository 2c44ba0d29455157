"""After the project had moved, run.sh of a recipe outside it went on without it, failing at each line."""

import subprocess
from pathlib import Path

import pytest

from asrkit.onboarding import recipe_folder
from asrkit.onboarding.source import Source
from asrkit.onboarding.suggestion import Suggestion


def test_run_sh_says_that_the_project_has_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "it's a project"
    (project / "utils").mkdir(parents=True)
    (project / "utils" / "recipe.sh").touch()
    monkeypatch.setattr(recipe_folder, "REPOSITORY", project)
    source = Source("tsv", tmp_path, form="a table")
    recipe_folder.write_recipe(tmp_path / "new", source, [Suggestion("corpus.module", "tsv")], {}, {})
    project.rename(tmp_path / "moved")
    done = subprocess.run(["bash", tmp_path / "new" / "run.sh"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "error: the project's folder isn't where it was" in done.stderr
    assert str(project / "utils" / "recipe.sh") in done.stderr
    assert "command not found" not in done.stderr

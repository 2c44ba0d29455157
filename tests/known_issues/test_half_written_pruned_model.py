"""asrkit prune raised an OSError for a folder that isn't writable, and a kill left half an experiment."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from asrkit.cli.prune import command
from asrkit.config import load_config
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel, save_model
from asrkit.pipeline.experiment import write_settings
from asrkit.storage.files import write_text
from tests.recipes.miniature import PROJECT


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    config = load_config(PROJECT / "recipes/yesno/recipe.yaml")
    write_settings(tmp_path / "exp", config)
    model = AcousticModel(config.model, config.features.bins, 5)
    save_model(tmp_path / "exp" / "average" / "model.safetensors", model, {})
    write_text(tmp_path / "exp" / "units" / "units.txt", "<blk> 0\n")
    return tmp_path / "exp"


def prune(trained: Path, output: Path) -> None:
    words = ["--exp", str(trained), "--output", str(output)]
    CliRunner().invoke(command, words, catch_exceptions=False)


def test_a_folder_that_cannot_be_written(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"can't write .*/file/small"):
        prune(trained, tmp_path / "file" / "small")


def test_a_kill_leaves_no_experiment(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise SystemExit

    output = tmp_path / "new" / "small"
    left = output.parent / ".small.next" / "lm"  # by an earlier run
    left.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr("asrkit.cli.prune.write_settings", killed)
        prune(trained, output)
    assert not output.exists()
    prune(trained, output)
    assert [file.name for file in output.parent.iterdir()] == ["small"]
    assert {file.name for file in output.iterdir()} == {"average", "model.yaml", "recipe.yaml", "units"}

"""The toy recipe, not run yet and run once."""

import shutil
from pathlib import Path

import pytest

from tests.pipeline.toy import Toy


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """A recipe that was never run."""
    return Toy(tmp_path)


@pytest.fixture(scope="session")
def finished_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose recipe ran to its end."""
    folder = tmp_path_factory.mktemp("finished") / "repository"
    Toy(folder).run()
    return folder


@pytest.fixture
def finished(finished_folder: Path) -> Toy:
    """A recipe that ran to its end; each test that changes it has it in the same folder, restored."""
    toy = Toy.__new__(Toy)
    kept = finished_folder.parent / "kept"
    if not kept.exists():
        shutil.copytree(finished_folder, kept, symlinks=True)
    shutil.rmtree(finished_folder)
    shutil.copytree(kept, finished_folder, symlinks=True)
    Toy.__init__(toy, finished_folder)
    return toy

"""The toy recipe, and a finished experiment of yesno, small enough to be made once per test run."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, List, Sequence

import pytest

from tests.pipeline.conftest import finished, finished_folder, toy
from tests.recipes.miniature import PROJECT, environment

__all__ = ["finished", "finished_folder", "toy"]  # of the toy recipe

SETTINGS = (
    *("train.epochs=2", "train.threads=1", "features.speed_factors=[1.0]"),
    *("average.candidates=[best-1]", "score.bootstrap_samples=100"),
)

STREAMING = ("train.chunk=25", "model.convolution_causal=true", "train.epochs=6")  # two leave only blanks


class Finished:
    """A copy of the experiment, which a test may change."""

    def __init__(self, corpus: Path, exp: Path) -> None:
        self.corpus, self.exp = corpus, exp

    def command(self, *options: str, settings: Sequence[str] = (), project: Path = PROJECT) -> List[str]:
        """The command line of the recipe, without the corpus's folder."""
        assignments = [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]
        return [
            *(sys.executable, "-c", "from asrkit.cli.main import main; main()", "run", "--nj", "2"),
            *("--recipe", str(project / "recipes/yesno"), "--exp", str(self.exp), *assignments, *options),
        ]

    def run(
        self, *options: str, settings: Sequence[str] = (), status: int = 0, project: Path = PROJECT
    ) -> str:
        """What run.sh prints on both streams; its exit status must be `status`."""
        command = self.command("--corpus-dir", str(self.corpus), *options, settings=settings, project=project)
        variables = {**environment(), "PYTHONPATH": str(project)}
        done = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=project)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="session")
def finished_yesno(corpora: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the experiment."""
    pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
    exp = tmp_path_factory.mktemp("yesno") / "exp"
    Finished(corpora("yesno"), exp).run()
    return exp


@pytest.fixture(scope="session")
def streaming_yesno(
    finished_yesno: Path, corpora: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of an experiment that was trained for streams."""
    exp = tmp_path_factory.mktemp("streaming_yesno") / "exp"
    shutil.copytree(finished_yesno, exp, symlinks=True)
    Finished(corpora("yesno"), exp).run(settings=STREAMING)
    return exp


@pytest.fixture
def yesno(finished_yesno: Path, corpora: Callable[[str], Path], tmp_path: Path) -> Finished:
    """A copy of the experiment for one test."""
    shutil.copytree(finished_yesno, tmp_path / "exp", symlinks=True)
    return Finished(corpora("yesno"), tmp_path / "exp")

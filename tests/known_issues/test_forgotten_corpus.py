"""run.sh --exp EXP --status without --corpus-dir showed every stage as stale."""

import subprocess

from tests.known_issues.conftest import Finished
from tests.recipes.miniature import environment


def test_the_experiment_remembers_its_corpus(yesno: Finished) -> None:
    done = subprocess.run(yesno.command("--status"), env=environment(), capture_output=True, text=True)
    states = [line.split()[2] for line in done.stdout.splitlines()[1:]]
    assert states == ["fresh"] * 12

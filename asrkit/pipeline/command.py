"""A stage that run.sh declares itself: a command, whose outputs appear whole or not at all.

The command sees EXP as a folder of links to what is there. What it writes stays in that folder until it has
ended well; only then are the files that --writes names moved to where readers look:

    --writes score/longest.txt

    EXP/.command/longest/exp/         the EXP that the command sees
        manifests -> EXP/manifests    links, to be read
        score/hlg.txt -> EXP/score/hlg.txt
        score/longest.txt             new: moved to EXP/score/longest.txt
"""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Set

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.inputs import find
from asrkit.pipeline.stage import Stage, fill


def run_command(stage: Stage, experiment: Experiment) -> None:
    """Run the stage's command in the recipe's folder; raises UserError if it fails or writes too little.

    It finds EXP, CORPUS_DIR, RECIPE_DIR and NJ in its environment, and the recipe's folder, local/ and
    asrkit's environment in PATH.
    """
    shadow = experiment.directory / ".command" / stage.name / "exp"
    shutil.rmtree(shadow, ignore_errors=True)
    outputs = [pattern.rstrip("?") for pattern in fill(stage.writes, experiment)]
    _mirror(experiment.directory, shadow, {Path(output) for output in outputs})
    path = [experiment.recipe_directory, experiment.local_directory, Path(sys.executable).parent]
    environment = {
        **os.environ,
        "EXP": str(shadow),
        "CORPUS_DIR": str(experiment.corpus_directory),
        "RECIPE_DIR": str(experiment.recipe_directory),
        "NJ": str(experiment.jobs),
        "PATH": os.pathsep.join([*map(str, path), os.environ.get("PATH", os.defpath)]),
    }
    try:
        done = subprocess.run(stage.command, cwd=experiment.recipe_directory, env=environment)
    except OSError as error:
        raise _failed(stage, f"can't be run: {error.strerror}") from None
    if done.returncode:
        raise _failed(stage, f"ended with exit status {done.returncode}")
    written = dataclasses.replace(experiment, directory=shadow, folders={})
    for pattern in fill(stage.writes, written):
        found = find(pattern, written)
        if found.missing and not found.is_optional:
            raise _failed(stage, f"has not written {pattern}")
        for file in found.files:
            target = experiment.directory / Path(file.path).relative_to(shadow)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file.path, target)
    shutil.rmtree(shadow)


def _mirror(folder: Path, shadow: Path, outputs: Set[Path]) -> None:
    """Fill `shadow` with links to what is in `folder`, except what the command is to write."""
    shadow.mkdir(parents=True)
    tops = {output.parts[0] for output in outputs if len(output.parts) > 1}
    whole = {output.parts[0] for output in outputs if len(output.parts) == 1}
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        if entry.name.startswith(".") or entry.name in whole:
            continue
        if entry.name in tops and entry.is_dir():
            below = {Path(*output.parts[1:]) for output in outputs if output.parts[0] == entry.name}
            _mirror(entry, shadow / entry.name, below)
        else:
            (shadow / entry.name).symlink_to(entry)
    for name in tops:
        (shadow / name).mkdir(exist_ok=True)


def _failed(stage: Stage, found: str) -> UserError:
    return UserError(
        f"the command of {stage} {found}",
        expected="exit status 0, and all files that --writes names",
        where=f"run.sh: {' '.join(stage.command)}",
        todo="see what it printed, above and in its log; what was there before is untouched",
    )

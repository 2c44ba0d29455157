"""A stage that run.sh declares itself: a command, whose outputs appear whole or not at all.

The command sees EXP as a folder of links to what is there. What it writes stays in that folder until it has
ended well; only then are the files that --writes names moved to where readers look:

    --writes lists/longest.txt

    EXP/.command/longest/exp/         the EXP that the command sees
        score/hlg.txt -> EXP/score/hlg.txt
        ...                           links, to be read
        lists/longest.txt             new: moved to EXP/lists/longest.txt
"""

import dataclasses
import fnmatch
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Sequence

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.inputs import find, find_all
from asrkit.pipeline.stage import Stage, fill
from asrkit.storage.files import remove


def run_command(stage: Stage, experiment: Experiment) -> None:
    """Run the stage's command in the recipe's folder; raises UserError if it fails or writes too little.

    It finds EXP, CORPUS_DIR, RECIPE_DIR and NJ in its environment, and the recipe's folder, local/ and
    asrkit's environment in PATH.
    """
    shadow = experiment.directory / ".command" / stage.name / "exp"
    shutil.rmtree(shadow, ignore_errors=True)
    outputs = [pattern.rstrip("?") for pattern in fill(stage.writes, experiment)]
    _mirror(experiment.directory, shadow, outputs)
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
    _move_outputs(stage, experiment, shadow)
    shutil.rmtree(shadow, ignore_errors=True)


def _mirror(directory: Path, shadow: Path, outputs: Sequence[str]) -> None:
    """Fill `shadow` with folders of links to each file in EXP, except what the command is to write."""

    def shows(name: Path) -> bool:
        written = any(fnmatch.fnmatchcase(str(name), output) or str(name) == output for output in outputs)
        return not name.name.startswith(".") and not written

    for place, folders, files in os.walk(directory):
        below = Path(place).relative_to(directory)
        (shadow / below).mkdir(parents=True)
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        folders[:] = [name for name in folders if shows(below / name)]
        for name in (*files, *links):
            if shows(below / name):
                (shadow / below / name).symlink_to(os.path.join(place, name))
    for output in outputs:
        (shadow / output).parent.mkdir(parents=True, exist_ok=True)


def _move_outputs(stage: Stage, experiment: Experiment, shadow: Path) -> None:
    """Move what --writes names to where readers look, once all of it is seen to be there."""
    written = dataclasses.replace(experiment, directory=shadow, folders={})
    new: List[Path] = []
    for pattern in fill(stage.writes, written):
        found = find(pattern, written)
        if not found.files and not found.is_optional:
            raise _failed(stage, f"has not written {pattern}")
        for file in (Path(file.path) for file in found.files):
            if not file.is_file() or file.is_symlink():
                raise _failed(stage, f"has written {file.relative_to(shadow)}, which is no regular file")
            new.append(file.relative_to(shadow))
    before = [Path(file.path) for each in find_all(stage.writes, experiment) for file in each.files]
    try:
        for name in new:
            target = experiment.directory / name
            if target.is_dir():
                remove(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(shadow / name, target)
        for file in before:
            if file.relative_to(experiment.directory) not in new:
                remove(file)
    except OSError as error:
        raise _failed(stage, f"has written what can't be put into EXP: {error.strerror}") from None


def _failed(stage: Stage, found: str) -> UserError:
    return UserError(
        f"the command of {stage} {found}",
        expected="exit status 0, and all files that --writes names",
        where=f"run.sh: {' '.join(stage.command)}",
        todo="see what it printed, above and in its log; what was there before is untouched",
    )

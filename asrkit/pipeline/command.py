"""A stage that run.sh declares itself: a command, whose outputs appear whole or not at all.

The command sees EXP as a folder of links to the files there. What it writes stays in that folder until it has
succeeded. Then the files that --writes names are moved into EXP:

    --writes lists/longest.txt

    EXP/.command/longest/exp/         the EXP that the command sees
        score/hlg.txt -> EXP/score/hlg.txt
        ...                           links, to be read
        lists/longest.txt             new: moved to EXP/lists/longest.txt
    EXP/.command/longest/old/         the earlier outputs, until the record is written
        lists/longest.txt             after a kill the next run moves them back
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
from asrkit.pipeline.record import read_note
from asrkit.pipeline.stage import Stage, fill
from asrkit.storage.files import remove


def command_folder(stage: Stage, experiment: Experiment) -> Path:
    """Where the stage's command writes until it has succeeded."""
    return experiment.directory / ".command" / stage.name


def run_command(stage: Stage, experiment: Experiment) -> None:
    """Run the stage's command in the recipe's folder; raises UserError if it fails or an output is missing.

    EXP, CORPUS_DIR, RECIPE_DIR and NJ are set in its environment; PATH begins with the recipe's folder,
    local/ and asrkit's environment.
    """
    shadow = command_folder(stage, experiment) / "exp"
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
    _replace_outputs(stage, experiment, shadow)
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


def _replace_outputs(stage: Stage, experiment: Experiment, shadow: Path) -> None:
    """Move the outputs that --writes names into EXP, and the earlier ones aside, if none is missing."""
    written = dataclasses.replace(experiment, directory=shadow, folders={})
    for pattern in fill(stage.writes, written):
        found = find(pattern, written)
        if not found.files and not found.is_optional:
            raise _failed(stage, f"has not written {pattern}")
    new = _output_names(stage, written)
    for name in new:
        if not (shadow / name).is_file() or (shadow / name).is_symlink():
            raise _failed(stage, f"has written {name}, which is no regular file")
    folder = command_folder(stage, experiment)
    try:
        _move(experiment.directory, folder / "old.part", _output_names(stage, experiment))
        (folder / "old.part").rename(folder / "old")
        _move(shadow, experiment.directory, new)
    except OSError as error:
        restore_outputs(stage, experiment)
        raise _failed(stage, f"has written what can't be put into EXP: {error.strerror}") from None


def restore_outputs(stage: Stage, experiment: Experiment) -> None:
    """Move the earlier outputs back if the run that was replacing them was interrupted.

    A kill in here does no harm either: old.part is only ever moved back.
    """
    folder = command_folder(stage, experiment)
    old, part = folder / "old", folder / "old.part"
    if old.is_dir() and read_note(folder) is not None:
        for name in _output_names(stage, experiment):
            remove(experiment.directory / name)
        old.rename(part)
    if part.is_dir():
        files = [file.relative_to(part) for file in part.rglob("*") if not file.is_dir()]
        _move(part, experiment.directory, files)
    remove(part)
    remove(old)  # of a run that finished


def _output_names(stage: Stage, experiment: Experiment) -> List[Path]:
    files = (file.path for found in find_all(stage.writes, experiment) for file in found.files)
    return [Path(file).relative_to(experiment.directory) for file in dict.fromkeys(files)]


def _move(source: Path, target: Path, names: Sequence[Path]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (target / name).is_dir():
            remove(target / name)
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(source / name, target / name)


def _failed(stage: Stage, found: str) -> UserError:
    expected = "exit status 0, and all files that --writes names"
    todo = "see its output above and in its log; earlier outputs are untouched"
    return UserError(f"the command of {stage} {found}", expected, f"run.sh: {' '.join(stage.command)}", todo)

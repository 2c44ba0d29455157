"""Where a running stage writes, and how its outputs replace the earlier ones.

Outputs of a finished stage stay in use until another run of it has finished. While EXP/features is in use, a
new run writes EXP/features.next. Then:

    1. EXP/features      -> EXP/.features.old
    2. EXP/features.next -> EXP/features
    3. the record is written, and the note in the folder is removed
    4. EXP/.features.old is removed

After a kill between 1 and 3 the next run undoes these steps and resumes in features.next. Files in a stage's
folder that no run wrote are kept as NAME.kept-1. Trainings are kept, each under the key of its settings and
inputs, and EXP/train is a link to one of them:

    EXP/train -> trainings/an4-3f29c1d07a52       finished: it has a record.json
                 trainings/an4-b81e66f4c9d3       with other settings, interrupted
"""

import contextlib
import dataclasses
import itertools
import os
from pathlib import Path
from typing import Iterator, List, Optional, Tuple

from asrkit.errors import UserError
from asrkit.pipeline.command import command_folder, restore_outputs
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.record import (
    Note,
    Origin,
    Record,
    drop_note,
    encode_record,
    find_code,
    find_outputs,
    has_origin,
    read_note,
    read_record,
    read_record_file,
    record_file,
    under_current_names,
    write_note,
)
from asrkit.pipeline.stage import Stage
from asrkit.storage.files import link, remove, sync_directory, write_bytes
from asrkit.storage.fingerprint import FingerprintCache

TRAININGS = "trainings"
RECORD = "record.json"
KEY_LENGTH = 12  # of 32 hexadecimal digits, in a training's name


def work_folder(stage: Stage, experiment: Experiment, origin: Origin) -> Path:
    """Where a stage of this origin writes until it has finished; of a command, where its note is."""
    if stage.command:
        return command_folder(stage, experiment)
    if stage.kept:
        kept = experiment.directory / TRAININGS
        # A name with slashes would be folders in folders, which `trainings` doesn't find
        name = f"{experiment.config.name.replace('/', '-')}-{origin.key[:KEY_LENGTH]}"
        # An earlier version or a copy may have named it otherwise
        for folder, record in sorted(trainings(experiment), key=lambda each: each[0].name != name):
            if record is None and has_origin(read_note(folder), origin):
                return folder
        names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
        # A finished one stays as it is
        return next(kept / name for name in names if not os.path.lexists(kept / name / RECORD))
    here = experiment.directory / stage.name
    return here if read_record(stage, experiment) is None else here.with_name(f"{stage.name}.next")


def begin(stage: Stage, experiment: Experiment, origin: Origin, afresh: bool) -> Tuple[Path, Note]:
    """The folder to work in, with a note: that of an interrupted run of the same origin, or an empty one."""
    _set_aside_directory(stage, experiment)
    folder = work_folder(stage, experiment, origin)
    earlier = read_note(folder)
    if not has_origin(earlier, origin) or afresh:
        if earlier is None:
            _set_aside(folder, stage)
        else:
            _remove(folder, stage)
        earlier = None
    note = write_note(folder, origin, earlier)
    current = experiment.directory / stage.name
    if stage.kept and not (current / RECORD).exists():
        link(current, folder)  # no finished one is in use, so show the running one
    return folder, note


def publish(stage: Stage, experiment: Experiment, folder: Path, record: Record) -> None:
    """Put the outputs of a finished stage in use, with its record."""
    current = experiment.directory / stage.name
    old = _replaced(current)
    if stage.kept:
        write_bytes(folder / RECORD, encode_record(record))
        _set_aside_directory(stage, experiment)
        link(current, folder)
    elif folder != current and not stage.command:
        _remove(old, stage)
        if current.is_dir():
            current.rename(old)
        _set_aside(current, stage)  # a file, or a dangling link
        folder.rename(current)
        sync_directory(current.parent)
    if record_file(stage, experiment).is_dir():
        _remove(record_file(stage, experiment), stage)
    write_bytes(record_file(stage, experiment), encode_record(record))
    for place in (folder, current):
        drop_note(place)
        with contextlib.suppress(OSError):
            place.rmdir()  # empty if the stage writes elsewhere
    with contextlib.suppress(UserError):
        _remove(folder if stage.command else old, stage)


def remove_unfinished(stage: Stage, experiment: Experiment, origin: Origin) -> None:
    """Remove what an interrupted run left beside a fresh stage; trainings are kept."""
    folder = work_folder(stage, experiment, origin)
    if not stage.kept and read_note(folder) is not None:
        print(f"{stage}: removes {folder.name}, left by an interrupted run", flush=True)
        _remove(folder, stage)


def recover(stage: Stage, experiment: Experiment) -> None:
    """Undo a replacement that a kill interrupted."""
    if stage.command:
        restore_outputs(stage, experiment)
        return
    current = experiment.directory / stage.name
    old, following = _replaced(current), current.with_name(f"{stage.name}.next")
    for place in (current, following, old):
        _remove(_going(place), stage)
    of_earlier_version = current.with_name(f"{stage.name}.old")
    is_between = read_note(current) is not None and read_record(stage, experiment) is not None
    if is_between and of_earlier_version.is_dir() and not old.exists():
        of_earlier_version.rename(old)
    if not old.is_dir() or (current.is_dir() and read_note(current) is None):
        _remove(old, stage)  # the record was written: only this step was left
        return
    if current.is_dir():
        _remove(following, stage)
        current.rename(following)
    _remove(current, stage)
    old.rename(current)


def find_training(
    stage: Stage, experiment: Experiment, origin: Origin, cache: FingerprintCache, strict: bool = False
) -> Tuple[Optional[Tuple[Path, Record]], List[str]]:
    """A finished training with these settings and inputs, and the names of damaged ones.

    Trainings by the current code are preferred, then later ones; with `strict`, others are not used.
    """
    if not stage.kept:
        return None, []
    damaged: List[str] = []
    code = find_code(stage, experiment, cache)
    known = [
        (folder, record)
        for folder, record in trainings(experiment)
        if record is not None and under_current_names(record, origin).key == origin.key
    ]
    for folder, record in sorted(known, key=lambda each: (each[1].code != code, -each[1].started)):
        if strict and record.code != code:
            continue
        there = dataclasses.replace(experiment, folders={stage.name: folder})
        if find_outputs(stage, there, cache) == record.outputs:
            return (folder, record), damaged
        damaged.append(folder.name)
    return None, damaged


def trainings(experiment: Experiment) -> List[Tuple[Path, Optional[Record]]]:
    """Every training of the experiment, with its record if it has finished."""
    folders = sorted((experiment.directory / TRAININGS).glob("*"))
    shown = (folder for folder in folders if folder.is_dir() and not folder.name.startswith("."))
    return [(folder, read_record_file(folder / RECORD)) for folder in shown]


def current_training(experiment: Experiment, stage: str = "train") -> Optional[str]:
    """Name of the training that EXP/STAGE links to; in a copy without links, of the one with its record."""
    place = experiment.directory / stage
    if place.is_symlink() and place.is_dir():
        return place.resolve().name
    record = read_record_file(experiment.records / f"{stage}.json")
    same = (folder for folder, of in trainings(experiment) if record is not None and of == record)
    return next((folder.resolve().name for folder in same), None)


def _set_aside_directory(stage: Stage, experiment: Experiment) -> None:
    """Move a training that is in EXP/train itself, as in a copy without links, to the other trainings."""
    current, kept = experiment.directory / stage.name, experiment.directory / TRAININGS
    if stage.kept and not kept.is_dir():
        _remove(kept, stage)
    if stage.kept and current.is_dir() and not current.is_symlink():
        kept.mkdir(exist_ok=True)
        names = (f"earlier-{number}" for number in itertools.count(1))
        name = next(name for name in names if not os.path.lexists(kept / name))
        current.rename(kept / name)
        if (kept / name / RECORD).exists():
            link(current, kept / name)  # in use until another has finished
        print(f"{stage}: the earlier training is kept in {TRAININGS}/{name}", flush=True)


def _replaced(current: Path) -> Path:
    """Where the earlier outputs are kept while they are replaced. Hidden: NAME.old may be a user's backup."""
    return current.with_name(f".{current.name}.old")


def _set_aside(place: Path, stage: Stage) -> None:
    """Rename files that no run wrote, such as outputs without a record; an empty folder stays."""
    if not os.path.lexists(place) or (place.is_dir() and not any(place.iterdir())):
        return
    if place.is_symlink():
        _remove(place, stage)
        return
    names = (f"{place.name}.kept-{number}" for number in itertools.count(1))
    name = next(name for name in names if not os.path.lexists(place.with_name(name)))
    with _removable(stage):
        place.rename(place.with_name(name))
    print(f"{stage}: {place.name}, which has no record, is kept as {name}", flush=True)


def _going(folder: Path) -> Path:
    """Where a folder is moved before it is removed, so that a kill never leaves half of it under its name."""
    return folder.with_name(f".{folder.name}.removed")


def _remove(place: Path, stage: Stage) -> None:
    with _removable(stage):
        if place.is_dir() and not place.is_symlink():
            remove(_going(place))
            place.rename(_going(place))
            place = _going(place)
        remove(place)


@contextlib.contextmanager
def _removable(stage: Stage) -> Iterator[None]:
    """Raise UserError for a folder that can't be moved or removed."""
    try:
        yield
    except OSError as error:
        found = f"{stage} can't remove what an interrupted run left: {error.strerror}"
        todo = "fix the permissions or move it away, then run the same command"
        raise UserError(found, "a removable folder", str(error.filename), todo) from error

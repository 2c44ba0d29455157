"""Records of finished stages, notes of started ones, and what a stage is made from."""

import contextlib
import dataclasses
import functools
import json
import time
from pathlib import Path
from typing import Annotated, Any, Dict, FrozenSet, Iterable, List, Mapping, Optional, Sequence

import msgspec

from asrkit.config import CorpusConfig, RecipeConfig, current_settings, flatten
from asrkit.config.checks import settings_without_effect
from asrkit.config.recipe import TRANSFORMS, SignalStep
from asrkit.pipeline.code import code_fingerprints, stage_modules
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.inputs import find_all, fingerprint_inputs
from asrkit.pipeline.stage import Stage
from asrkit.storage.files import json_bytes, write_bytes
from asrkit.storage.fingerprint import FingerprintCache, hash_value

PRESENT = "present"  # instead of a fingerprint of the corpus, which a stage may not have written itself
NOTE = ".begun"
Moment = Annotated[float, msgspec.Meta(ge=0, lt=1e11)]  # seconds since the epoch that are a date
Amount = Annotated[float, msgspec.Meta(ge=0, lt=1e18)]
Listings = Dict[str, Dict[str, str]]  # {group of files: {name: fingerprint}}


class Record(msgspec.Struct):
    """What a finished stage was made from, its outputs, and what they cost."""

    key: str  # of the inputs, the settings and the version
    inputs: Dict[str, Optional[str]]  # fingerprint of each file or group of files; None: absent
    settings: Dict[str, Any]  # that change the result
    how: Dict[str, Any]  # settings that don't
    version: int
    code: Dict[str, str]
    outputs: Dict[str, str]
    started: Moment
    seconds: Amount  # of all attempts that led to these outputs
    peak_bytes: Amount  # resident memory of the largest process
    output_bytes: Amount
    command: List[str]
    device: Optional[str] = None  # the accelerator; None: the CPU


class Note(msgspec.Struct):
    """Written into its folder by a stage that starts, and touched while it runs."""

    key: str  # of the inputs, the settings and the version
    started: Moment
    seconds_before: Amount  # spent by earlier attempts
    inputs: Dict[str, Optional[str]] = {}
    settings: Dict[str, Any] = {}
    version: int = 0


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a stage is made from now."""

    inputs: Dict[str, Optional[str]]
    settings: Dict[str, Any]
    version: int
    without_effect: FrozenSet[str] = frozenset()  # settings that don't change the result

    @property
    def key(self) -> str:
        """Fingerprint of all of it."""
        return hash_value([self.inputs, self.settings, self.version])


def find_origin(stage: Stage, experiment: Experiment, cache: FingerprintCache) -> Origin:
    """Fingerprint a stage's inputs and the settings that change its result."""
    settings = settings_of(experiment, stage.result, stage.how)
    if stage.command:
        settings["command"] = list(stage.command)
    void = settings_without_effect(experiment.config)
    return Origin(fingerprint_inputs(stage, experiment, cache), settings, stage.version, void)


def settings_of(experiment: Experiment, keys: Sequence[str], but: Sequence[str] = ()) -> Dict[str, Any]:
    """Values of the settings in `keys`, which may be sections, without those in `but`."""

    def chosen(key: str, wanted: Sequence[str]) -> bool:
        return any(key == name or key.startswith(name + ".") for name in wanted)

    return {
        key: _plain(value)
        for key, value in flatten(experiment.config).items()
        if chosen(key, keys) and not chosen(key, but)
    }


def under_current_names(record: Record, origin: Origin) -> Record:
    """A record of an earlier version as today's code would have written it, with its key.

    Renamed settings get their current names, removed ones go if they had the value that always holds now,
    and a setting that is new in `origin` is added if it has its default. A setting without
    effect gets its current value, so that changing it makes nothing stale.
    """
    known = _under_current_names(record.settings, origin)
    if known == record.settings:
        return record
    key = Origin(record.inputs, known, record.version).key
    return msgspec.structs.replace(record, settings=known, key=key)


def has_origin(note: Optional[Note], origin: Origin) -> bool:
    """Whether an unfinished run has these inputs, settings (under their current names) and version."""
    if note is None or note.key == origin.key:
        return note is not None
    settings = _under_current_names(note.settings, origin)
    return Origin(note.inputs, settings, note.version).key == origin.key


def _under_current_names(before: Mapping[str, Any], origin: Origin) -> Dict[str, Any]:
    settings = origin.settings
    known: Dict[str, Any] = current_settings(before)
    for key, value in settings.items():
        if key in origin.without_effect or (key not in known and value == _defaults().get(key)):
            known[key] = value
    if "signal.steps" in known and "signal.steps" in settings:
        known["signal.steps"] = [_completed(entry) for entry in known["signal.steps"]]
    return known


def _completed(entry: Mapping[str, Any]) -> Dict[str, Any]:
    """An entry of signal.steps, with settings that didn't exist then at their defaults."""
    try:
        return dict(_plain(msgspec.convert(entry, SignalStep)))
    except msgspec.ValidationError:  # its kind or one of its settings no longer exists
        return dict(entry)


@functools.lru_cache(maxsize=1)
def _defaults() -> Dict[str, Any]:
    """Every setting's default, as records hold it."""
    defaults = RecipeConfig(name="", corpus=CorpusConfig(module=""))
    of_transforms = {
        f"augment.{kind}.{field.name}": field.default
        for kind, transform in TRANSFORMS.items()
        for field in msgspec.structs.fields(transform)
        if field.default is not msgspec.NODEFAULT
    }
    return {key: _plain(value) for key, value in {**of_transforms, **flatten(defaults)}.items()}


def _plain(value: Any) -> Any:
    return json.loads(msgspec.json.encode(value))  # as the record gives it back: lists, not tuples


def find_code(stage: Stage, experiment: Experiment, cache: FingerprintCache) -> Dict[str, str]:
    """Fingerprint of each source file that a stage runs."""
    return code_fingerprints(stage_modules(stage, experiment), experiment, cache)


def find_outputs(stage: Stage, experiment: Experiment, cache: FingerprintCache) -> Dict[str, Optional[str]]:
    """Fingerprint a stage's outputs; None: one is missing that isn't optional."""
    outputs: Dict[str, Optional[str]] = {}
    for found in find_all(_written(stage), experiment):
        fingerprint = found.fingerprint(cache)
        if fingerprint is not None or not found.is_optional:
            outputs[found.name] = fingerprint
    if "{corpus}" in stage.writes:
        folder = experiment.corpus_directory
        is_there = folder.is_dir() and any(not file.name.startswith(".") for file in folder.iterdir())
        outputs["corpus"] = PRESENT if is_there else None
    return outputs


def read_record(stage: Stage, experiment: Experiment) -> Optional[Record]:
    """The stage's record; None if it never finished or the record is damaged."""
    return read_record_file(record_file(stage, experiment))


def read_record_file(file: Path) -> Optional[Record]:
    """A record; None if it is missing or damaged."""
    record: Optional[Record] = _read(file, Record)
    return record


def _read(file: Path, kind: Any) -> Any:
    """Parse a JSON file; None if it is missing, damaged or of another type."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        return msgspec.convert(json.loads(file.read_bytes(), parse_constant=str), kind)  # no NaN
    return None


def encode_record(record: Record) -> bytes:
    """A record's JSON."""
    return json_bytes(msgspec.to_builtins(record), indent=1)


def record_file(stage: Stage, experiment: Experiment) -> Path:
    """EXP/stages/STAGE.json."""
    return experiment.records / f"{stage.name}.json"


def write_listings(stage: Stage, experiment: Experiment, cache: FingerprintCache) -> None:
    """Write the fingerprint of every file in the groups that a stage read and wrote."""
    listings: Listings = {}
    for found in find_all([*stage.reads, *_written(stage)], experiment):
        if found.is_group:
            cache.group(found.name, found.files)
            listings[found.name] = cache.listing(found.name)
    write_bytes(_listings_file(stage, experiment), msgspec.json.encode(listings))


def read_listings(stage: Stage, experiment: Experiment) -> Listings:
    """What write_listings wrote; {} if it is missing or damaged: it only serves to name what changed."""
    listings: Listings = _read(_listings_file(stage, experiment), Listings) or {}
    return listings


def _listings_file(stage: Stage, experiment: Experiment) -> Path:
    return experiment.records / f"{stage.name}.files.json"


def _written(stage: Stage) -> List[str]:
    return [pattern for pattern in stage.writes if pattern != "{corpus}"]


def read_note(folder: Path) -> Optional[Note]:
    """The note of a stage that started in a folder and hasn't finished."""
    note: Optional[Note] = _read(folder / NOTE, Note)
    return note


def write_note(folder: Path, origin: Origin, earlier: Optional[Note]) -> Note:
    """Write the note of a stage that starts; `earlier` is the note of the attempt that it resumes."""
    if earlier is None:
        note = Note(origin.key, time.time(), 0.0, origin.inputs, origin.settings, origin.version)
    else:  # with the key that is in its checkpoints
        last_seen = (folder / NOTE).stat().st_mtime
        before = earlier.seconds_before + max(0.0, last_seen - earlier.started)
        note = msgspec.structs.replace(earlier, started=time.time(), seconds_before=before)
    write_bytes(folder / NOTE, msgspec.json.encode(note))
    return note


def drop_note(folder: Path) -> None:
    """Remove the note of a stage that has finished."""
    with contextlib.suppress(FileNotFoundError):
        (folder / NOTE).unlink()


def made_with(records: Iterable[Record]) -> Dict[str, Any]:
    """Settings that the finished stages were run with, by flat names.

    If stages differ, the latest counts; but values that change results take precedence over values of
    Stage.how.
    """
    ordered = sorted(records, key=lambda record: record.started)
    values: Dict[str, Any] = {}
    for settings in (*(record.how for record in ordered), *(record.settings for record in ordered)):
        values.update(current_settings(settings))
    return values

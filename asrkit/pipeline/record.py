"""Records of finished stages, notes of begun ones; what a stage is made from."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import msgspec

from asrkit.config import flatten
from asrkit.pipeline.code import code_fingerprints, stage_modules
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage, fill, locate
from asrkit.storage.files import write_bytes
from asrkit.storage.fingerprint import FingerprintCache, hash_value

PRESENT = "present"  # in place of a fingerprint: the corpus may not be the stage's own work


class Record(msgspec.Struct):
    """What a finished stage was made from, what it made, and what that cost."""

    inputs: Dict[str, Optional[str]]  # fingerprint of each file; None: it was absent
    settings: Dict[str, Any]
    code: Dict[str, str]
    outputs: Dict[str, str]
    started: float  # seconds since the epoch
    seconds: float  # of all attempts that led to these outputs
    peak_bytes: int  # resident memory of the largest process
    output_bytes: int
    command: List[str]


class Note(msgspec.Struct):
    """Left by a stage that began; while it runs, the file's time of change moves on."""

    key: str  # fingerprint of what it is made from
    started: float
    seconds_before: float  # spent by earlier attempts


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a stage is made from, as of now."""

    inputs: Dict[str, Optional[str]]
    settings: Dict[str, Any]
    code: Dict[str, str]

    @property
    def key(self) -> str:
        """Fingerprint of all of it."""
        return hash_value([self.inputs, self.settings, self.code])


def find_origin(stage: Stage, experiment: Experiment, cache: FingerprintCache) -> Origin:
    """Fingerprint a stage's inputs, settings and code."""
    inputs: Dict[str, Optional[str]] = {}
    for pattern in fill(stage.reads, experiment):
        for name, file in locate(pattern, experiment).items():
            inputs[name] = cache.fingerprint(file) if file.is_file() else None
    settings = {
        key: json.loads(msgspec.json.encode(value))  # as the record gives it back: lists, not tuples
        for key, value in flatten(experiment.config).items()
        if any(key == wanted or key.startswith(wanted + ".") for wanted in stage.settings)
    }
    if "{corpus}" in stage.reads:
        settings["--corpus-dir"] = str(experiment.corpus_directory)  # manifests hold whole paths
    return Origin(inputs, settings, code_fingerprints(stage_modules(stage, experiment), experiment, cache))


def find_outputs(stage: Stage, experiment: Experiment, cache: FingerprintCache) -> Dict[str, Optional[str]]:
    """Fingerprint what a stage wrote; None: it is missing and may not be."""
    outputs: Dict[str, Optional[str]] = {}
    for pattern in fill(stage.writes, experiment):
        if pattern == "{corpus}":
            present = any(file.exists() for file in locate(pattern, experiment).values())
            outputs["corpus"] = PRESENT if present else None
            continue
        for name, file in locate(pattern, experiment).items():
            if file.is_file():
                outputs[name] = cache.fingerprint(file)
            elif not pattern.endswith("?"):
                outputs[name] = None
    return outputs


def read_record(stage: Stage, experiment: Experiment) -> Optional[Record]:
    """The stage's record; None when it never finished or the record is damaged."""
    try:
        return msgspec.json.decode(record_file(stage, experiment).read_bytes(), type=Record)
    except (OSError, ValueError, RecursionError):
        return None


def write_record(stage: Stage, experiment: Experiment, record: Record) -> None:
    """Write the record, whole or not at all, then drop the note."""
    content = msgspec.json.format(msgspec.json.encode(record), indent=1)
    write_bytes(record_file(stage, experiment), content)
    note_file(stage, experiment).unlink()


def read_note(stage: Stage, experiment: Experiment) -> Optional[Note]:
    """The note of a stage that began and didn't finish."""
    try:
        return msgspec.json.decode(note_file(stage, experiment).read_bytes(), type=Note)
    except (OSError, ValueError, RecursionError):
        return None


def write_note(stage: Stage, experiment: Experiment, key: str, earlier: Optional[Note]) -> Note:
    """Note that the stage begins; `earlier` is the note of the attempt that it resumes."""
    before = 0.0
    if earlier is not None:
        last_seen = note_file(stage, experiment).stat().st_mtime
        before = earlier.seconds_before + max(0.0, last_seen - earlier.started)
    note = Note(key, time.time(), before)
    write_bytes(note_file(stage, experiment), msgspec.json.encode(note))
    return note


def record_file(stage: Stage, experiment: Experiment) -> Path:
    """Where the stage's record is."""
    return experiment.records / f"{stage.file_name}.json"


def note_file(stage: Stage, experiment: Experiment) -> Path:
    """Where the stage's note is while it runs."""
    return experiment.records / f"{stage.file_name}.begun"

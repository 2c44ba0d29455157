"""EXP/cost.json: time, memory and hardware of an experiment."""

import contextlib
import functools
import os
import subprocess
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

import msgspec

from asrkit.config import flatten
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY, Experiment
from asrkit.pipeline.machine import count_cores, processor_name
from asrkit.pipeline.record import Record
from asrkit.storage.files import read_json, write_checked_json, write_json
from asrkit.storage.fingerprint import hash_value

FACTS = "facts.json"  # in the folder of a stage
OF_TRAINING = ("parameters", "audio_hours")  # facts that stage train writes


class StageCost(msgspec.Struct):
    """What a stage cost."""

    seconds: Optional[float] = None
    peak_bytes: Optional[int] = None
    device: Optional[str] = None


class Cost(msgspec.Struct):
    """Contents of cost.json; each fact may be missing."""

    stages: Optional[Dict[str, StageCost]] = None
    parameters: Optional[int] = None
    audio_hours: Optional[float] = None
    cores: Optional[int] = None
    device: Optional[str] = None
    commit: Optional[str] = None
    configuration: Optional[str] = None
    command: Optional[str] = None


def write_facts(experiment: Experiment, stage: str, **facts: Any) -> None:
    """Write facts of a running stage, such as parameters=1800000, for cost.json once it has finished."""
    write_json(experiment.folder(stage) / FACTS, facts)


def write_cost(experiment: Experiment, records: Mapping[str, Record], ran: Optional[str] = None) -> None:
    """Write cost.json from the records of stages (by name) and the facts that they wrote.

    `ran`: the stage that has just finished, so the current code and machine are recorded. Without it, only
    what disagrees with the records is repaired.
    """
    before = read_cost(experiment)
    stages = dict(before.get("stages", {}))
    for name, record in records.items():
        cost = _stage_cost(record)
        if name == ran or {**cost, "device": None} != {**stages.get(name, {}), "device": None}:
            stages[name] = cost  # an unchanged entry is kept: the stage may have run on another machine
    latest = stages.get("train") or stages[ran or next(iter(records))]
    now: Dict[str, Any] = {
        **before,
        "stages": stages,
        "device": latest["device"],
        "configuration": hash_value(flatten(experiment.config)),
    }
    if ran is not None:
        now.update(cores=count_cores(), commit=read_commit())
        if ran == "train":  # drop the facts of the training before, in case this one wrote none
            now = {key: value for key, value in now.items() if key not in OF_TRAINING}
    for name in records:
        now.update(_facts(experiment.directory / name / FACTS))
    if now != before:
        write_checked_json(experiment.directory / "cost.json", now, indent=2)


def _stage_cost(record: Record) -> Dict[str, Any]:
    return {
        "seconds": round(record.seconds, 3),
        "peak_bytes": int(record.peak_bytes),
        "device": record.device or processor_name(),
    }


def _facts(file: Path) -> Dict[str, Any]:
    """Read what write_facts wrote; {} if the file is missing, damaged or something else."""
    with contextlib.suppress(UserError):
        facts: Dict[str, Any] = read_json(file, Cost)
        return {key: value for key, value in facts.items() if key in OF_TRAINING}
    return {}


@functools.lru_cache(maxsize=1)
def read_commit() -> Optional[str]:
    """The project's commit, with "-dirty" if files that a run may read differ from it; None without git."""
    if not (REPOSITORY / ".git").exists():
        return None
    # Without results and docs, which runs don't read: the first results of a study would make the next dirty
    results = [f":(exclude)recipes/*/records/*.{ending}" for ending in ("json", "png")]
    paths = ("--", ".", *results, ":(exclude)*.md")

    def ask(*words: str) -> str:
        git = ("git", "-C", str(REPOSITORY), *words)
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return ask("rev-parse", "HEAD") + ("-dirty" if ask("status", "--porcelain", *paths) else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def read_cost(experiment: Experiment) -> Dict[str, Any]:
    """Contents of cost.json; {} if it is missing, or damaged, which is reported."""
    file = experiment.directory / "cost.json"
    try:
        facts: Dict[str, Any] = read_json(file, Cost)
    except UserError as error:
        if os.path.lexists(file):
            print(f"cost: {error.found}; it starts empty", flush=True)
        return {}
    return facts

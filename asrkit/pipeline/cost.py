"""EXP/cost.json: time, memory and hardware of an experiment."""

import functools
import os
import subprocess
from typing import Any, Dict, Optional

import msgspec

from asrkit.config import flatten
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY, Experiment
from asrkit.pipeline.machine import count_cores, processor_name
from asrkit.pipeline.record import Record
from asrkit.storage.files import read_json, write_checked_json, write_json
from asrkit.storage.fingerprint import hash_value

FACTS = "facts.json"  # of a stage, in its folder


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
    """Write facts of a running stage, such as parameters=1800000; cost.json has them when it has finished."""
    write_json(experiment.folder(stage) / FACTS, facts)


def add_stage(experiment: Experiment, name: str, record: Record, commit: Optional[str]) -> None:
    """Add or replace the cost of one stage, and the facts that it wrote; `commit`: of the code that ran."""
    before = read_cost(experiment)
    stages = before.get("stages", {})
    stages[name] = {
        "seconds": round(record.seconds, 3),
        "peak_bytes": int(record.peak_bytes),
        "device": record.device or processor_name(),
    }
    facts = experiment.directory / name / FACTS
    own: Dict[str, Any] = read_json(facts, Cost) if facts.is_file() else {}
    now = {
        "stages": stages,
        "cores": count_cores(),
        "device": stages.get("train", stages[name])["device"],
        "commit": commit,
        "configuration": hash_value(flatten(experiment.config)),
    }
    write_checked_json(experiment.directory / "cost.json", {**before, **own, **now}, indent=2)


@functools.lru_cache(maxsize=1)
def read_commit() -> Optional[str]:
    """The project's commit, with "-dirty" if files that a run may read differ from it; None without git."""
    if not (REPOSITORY / ".git").exists():
        return None
    # Not results and pages, which no run reads: a study would call its own second row dirty
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

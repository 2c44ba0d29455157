"""Whether the files of a finished experiment are still those that its stages read and wrote."""

import dataclasses
import functools
import json
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import msgspec

from asrkit.config import current_settings, flatten
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.pipeline.record import (
    find_origin,
    find_outputs,
    read_record,
    read_record_file,
    under_current_names,
)
from asrkit.pipeline.stage import AUDIO_OF, Stage, fill
from asrkit.storage.files import read_json
from asrkit.storage.fingerprint import FingerprintCache, hash_file

USED_BY_MODEL = ("features", "units", "lm", "graph", "average", "decode")  # stages
# Inputs that must be as when the stage ran: otherwise model, scales and results don't belong together
MADE_FROM = {
    "average": ("units/",),
    "decode": ("units/", "lm/", "graph/", "average/"),
    "score": ("decode/",),
}
MADE_OF = "made_of.json"  # in the folder of asrkit evaluate: its inputs and outputs


def refuse_changed(
    stage: Stage,
    experiment: Experiment,
    cache: FingerprintCache,
    reads: Optional[Sequence[str]] = None,
    writes: Optional[Sequence[str]] = None,
) -> None:
    """Raise UserError unless a stage has finished, and its inputs, outputs and settings are unchanged.

    `reads`, `writes`: patterns to check instead of all that the stage declares. With `reads`, audio files
    that the stage lists as outputs aren't checked either.
    """
    if not has_records(experiment.directory):
        return
    record = read_record(stage, experiment)
    if record is None:
        todo = "run.sh, without --stage, runs the stages that are left"
        raise UserError(f"{stage} has not finished", "a finished stage", str(experiment.records), todo)
    narrowed = dataclasses.replace(
        stage,
        reads=tuple(stage.reads if reads is None else reads),
        writes=tuple(_own_outputs(stage, reads is not None) if writes is None else writes),
    )
    origin = find_origin(narrowed, experiment, cache)
    record = under_current_names(record, origin)
    settings = [
        f"setting {name}" for name, value in origin.settings.items() if record.settings.get(name) != value
    ]
    found: Dict[str, Optional[str]] = {**origin.inputs, **find_outputs(narrowed, experiment, cache)}
    patterns = [each.rstrip("?") for each in fill((*narrowed.reads, *narrowed.writes), experiment)]
    recorded = {**record.inputs, **record.outputs}
    expected = {name: value for name, value in recorded.items() if name in patterns}
    _refuse([*settings, *_differing(found, expected)], str(stage), experiment.directory)


def _own_outputs(stage: Stage, without_audio: bool) -> List[str]:
    return [each for each in stage.writes if not (without_audio and each.startswith(AUDIO_OF))]


def refuse_changed_results(stages: Sequence[Stage], directory: Path) -> None:
    """Raise UserError unless results.json and its inputs are as stage score or asrkit evaluate left them.

    `stages`: that stage, and before it others whose settings must be unchanged, too.
    """
    if (directory / MADE_OF).exists():
        expected = read_json(directory / MADE_OF, Dict[str, Any], checked=True).get("outputs", {})
        found = {name: hash_file(directory / name) for name in expected if (directory / name).is_file()}
        changed = _differing(found, expected or {"results.json": ""})
        again = "asrkit evaluate --exp EXP --cuts CUTS, with the same --output if there was one, repeats it"
        _refuse(changed, "asrkit evaluate", directory, again)
    elif has_records(directory):
        experiment = open_experiment(directory)
        cache = FingerprintCache(experiment.records / "fingerprints")
        for stage in stages[:-1]:
            refuse_changed(stage, experiment, cache, reads=(), writes=())
        refuse_changed(stages[-1], experiment, cache)
        hash_once = functools.lru_cache(maxsize=None)(hash_file)
        for name in MADE_FROM:
            _refuse_stale(name, experiment, hash_once)


def refuse_changed_model(
    experiment: Experiment, with_scales: bool = True, with_results: bool = False
) -> None:
    """Raise UserError unless settings, units, graph, model and scales are as the finished stages left them.

    `with_scales`, `with_results`: also check that the scales or the results are of this model, not of an
    earlier one. Only records are read, so programs that only use a trained model need no declarations of
    stages.
    """
    if not has_records(experiment.directory):
        return
    found = json.loads(msgspec.json.encode(flatten(experiment.config)))
    hash_once = functools.lru_cache(maxsize=None)(hash_file)
    for stage in (*USED_BY_MODEL, "score") if with_results else USED_BY_MODEL:
        record = read_record_file(experiment.records / f"{stage}.json")
        if record is None:
            continue  # a recipe may do without lm and graph
        settings = current_settings(record.settings)
        changed = [f"setting {name}" for name in settings if name in found and found[name] != settings[name]]
        for name, fingerprint in record.outputs.items():
            file = experiment.place(name)
            is_of_split = name.count("/") > 1  # hypotheses, which no model uses
            if file.is_file() and not is_of_split and hash_once(file) != fingerprint:
                changed.append(name)
        _refuse(changed, f"stage {stage}", experiment.directory)
        if stage in MADE_FROM and (stage != "decode" or with_scales):
            _refuse_stale(stage, experiment, hash_once)


def has_records(directory: Path) -> bool:
    """Whether the experiment has records to compare with; prints a warning if not."""
    there = any((directory / "stages").glob("*.json"))
    if not there:
        found = f"warning: {directory} has no records of stages, so its files can't be checked"
        print(found, file=sys.stderr)
    return there


def _differing(found: Mapping[str, Optional[str]], expected: Mapping[str, Optional[str]]) -> List[str]:
    return [name for name in [*found, *expected] if found.get(name) != expected.get(name)]


def _refuse(differing: Sequence[str], writer: str, directory: Path, todo: str = "") -> None:
    changed = list(dict.fromkeys(differing))
    if changed:
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise UserError(
            f"{changed[0]} isn't as {writer} left it{more}",
            "the files and settings of a finished experiment, unchanged",
            str(directory),
            todo or _regenerate(directory),
        )


def _refuse_stale(stage: str, experiment: Experiment, hash_once: Callable[[Path], str]) -> None:
    """Raise UserError if a file of MADE_FROM differs from the one that the stage used, if it has a record."""
    record = read_record_file(experiment.records / f"{stage}.json")
    for name, used in record.inputs.items() if record is not None else ():
        file = experiment.place(name)
        if name.startswith(MADE_FROM[stage]) and file.is_file() and hash_once(file) != used:
            raise UserError(
                f"stage {stage} is stale: {name} has changed since",
                "a finished experiment, whose stages have run on the current files",
                str(experiment.directory),
                _regenerate(experiment.directory),
            )


def _regenerate(directory: Path) -> str:
    return f"run.sh --exp {directory}, with your other options but without --stage, regenerates it"

"""The experiments of a page: results, cost, learning curves, and the scales tried on dev."""

import base64
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

from asrkit.pipeline.cost import read_cost
from asrkit.pipeline.experiment import Experiment
from asrkit.score.records import RATES, headlines, read_results
from asrkit.score.report import chosen_method
from asrkit.score.robustness import FOLDER, Measurement, read_measurements, totals
from asrkit.show import stored

HEADLINE = (
    *("set", "role", "method", "unit", "errors", "reference", "insertions", "deletions", "substitutions"),
    *("rate", "interval", "interval_by_speaker", "confidence", "rtf", "fallbacks", "partial"),
    "in_training_data",
)


class System(NamedTuple):
    """An experiment, and what is shown of it."""

    label: str
    experiment: Experiment
    results: List[Dict[str, Any]]  # in the experiment's own unit
    method: str  # chosen on dev
    timed: str  # the method that gives times of words, "" if none was decoded


def open_system(label: str, experiment: Experiment) -> System:
    """Read an experiment's results. Raises UserError if it has none."""
    stored.refuse_unscored(experiment)
    results = read_results(experiment.directory / "results.json")
    decoded = {record["method"] for record in results}
    timed = next((each for each in stored.FIRST_PASS if each in decoded), "")
    return System(label, experiment, headlines(results), chosen_method(results) or "", timed)


def overview(system: System) -> Dict[str, Any]:
    """Results, cost, learning curves, and the weights tried on dev, of an experiment."""
    scales = stored.read_scales(system.experiment)
    dev = scales["chosen_on"]
    on_dev = [record for record in system.results if record["set"] == dev]
    order = sorted(
        system.results, key=lambda record: (record["set"] == dev, record["method"] != system.method)
    )
    return {
        "label": system.label,
        "method": system.method,
        "timed": system.timed,
        "results": [{key: record.get(key) for key in HEADLINE} for record in order],
        "facts": _facts(read_cost(system.experiment)),
        "curves": [
            {**row, "dev_wer": 100.0 * row["errors"] / max(1, row["words"])}
            for row in stored.read_log(system.experiment)
        ],
        "robustness": [_robustness(system, *each) for each in read_measurements(system.experiment).items()],
        "sweeps": {
            "set": dev,
            "words": on_dev[0]["reference"] if on_dev and on_dev[0]["unit"] == "word" else None,
            "methods": [
                {"method": method, "chosen": scales["weights"].get(method, {}), "tried": tried}
                for method, tried in scales["tried"].items()
            ],
        },
    }


def _robustness(system: System, name: str, measurement: Measurement) -> Dict[str, Any]:
    """What asrkit robustness measured, with its picture."""
    picture = (system.experiment.directory / FOLDER / f"{name}.svg").read_bytes()
    rows = measurement.systems[0].rows
    return {
        "set": measurement.set,
        "method": measurement.method,
        "rate": RATES[measurement.unit],
        "picture": f"data:image/svg+xml;base64,{base64.b64encode(picture).decode('ascii')}",
        "rows": [
            {key: getattr(row, key) for key in ("condition", "errors", "reference", "rate", "interval")}
            for row in [*rows, *totals(rows)]
        ],
    }


def _facts(cost: Mapping[str, Any]) -> List[List[str]]:
    """Name and value of what cost.json knows of the experiment."""
    stages = cost.get("stages") or {}
    seconds = {name: stage["seconds"] for name, stage in stages.items() if stage.get("seconds") is not None}
    values = {
        "parameters": f"{cost['parameters']:,}" if cost.get("parameters") else None,
        "training audio": f"{cost['audio_hours']:.2f} h" if cost.get("audio_hours") else None,
        "training time": _duration(seconds["train"]) if "train" in seconds else None,
        "all stages": _duration(sum(seconds.values())) if seconds else None,
        "device": cost.get("device"),
        "commit": (cost.get("commit") or "")[:10] or None,
        "configuration": (cost.get("configuration") or "")[:10] or None,
    }
    return [[name, str(value)] for name, value in values.items() if value]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def labels_of(directories: Sequence[Path]) -> List[str]:
    """What experiments are called on the page: the names of their folders, as many as tell them apart."""
    places = [directory.resolve() for directory in directories]
    for depth in range(1, max(len(place.parts) for place in places)):
        labels = ["/".join(place.parts[-depth:]) for place in places]
        if len(set(labels)) == len(labels):
            return labels
    return [str(place) if at == 0 else f"{place} ({at + 1})" for at, place in enumerate(places)]

"""Collect what the page of one experiment, or of two side by side, shows."""

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.score.breakdown import break_down
from asrkit.score.comparison import compare
from asrkit.score.evaluation import Evaluation
from asrkit.score.records import RATES
from asrkit.show import stored
from asrkit.show.beams import sweep_beams
from asrkit.show.sampling import sample
from asrkit.show.systems import System, open_system, overview
from asrkit.show.utterances import add_other_methods, collect_details, describe_utterance

LIMIT = 150  # utterances: AN4's test set of 130 whole, and at most some 30 MB of audio of other corpora
CONFUSIONS = 15  # of each kind
SEED = 0  # of the random part of a sample


class Page(NamedTuple):
    """What the page shows at once, and what it shows of each utterance once that is opened."""

    main: Dict[str, Any]
    details: List[Dict[str, Any]]  # in the order of main["utterances"]


def collect(
    experiments: Mapping[str, Experiment],
    limit: int = LIMIT,
    sets: Sequence[str] = (),
    seed: int = SEED,
    method: str = "",
    beams: Sequence[float] = (),
) -> Page:
    """The data of a page: of one experiment, or of two that were scored on the same sets, by label.

    `sets`: those whose utterances can be browsed, all test sets if it is empty; of more than `limit`
    utterances a sample, see `sample`. `method`: instead of those chosen on dev. `beams`: search beams to try
    on dev. Raises UserError if there are no results, or none of a set or method, and if the utterances of two
    experiments differ.
    """
    systems = [open_system(label, experiment) for label, experiment in experiments.items()]
    systems = [system._replace(method=method or system.method) for system in systems]
    config = systems[0].experiment.config.score
    evaluations = {
        name: [
            stored.evaluate_method(system.experiment, name, system.method, config.unit) for system in systems
        ]
        for name in _choose_sets(systems, sets)
    }
    differences = {
        name: _difference(of_set, config.bootstrap_samples) if len(of_set) > 1 else None
        for name, of_set in evaluations.items()
    }
    rows = [
        describe_utterance(name, place, of_set)
        for name, of_set in evaluations.items()
        for place in range(len(of_set[0].transcripts))
    ]
    shown = sample(rows, limit, seed, lambda: stored.count_training_words(systems[0].experiment))
    add_other_methods(shown, systems, config.unit)
    notes: List[str] = []
    details = collect_details(shown, systems, notes)
    main = {
        "title": " and ".join(experiments),
        "labels": list(experiments),
        "unit": config.unit,
        "rate": RATES[config.unit],
        "systems": [
            {**overview(system), "beams": sweep_beams(system.experiment, beams) if beams else []}
            for system in systems
        ],
        "sets": [
            {
                "name": name,
                "systems": [_breakdown(system, name, each) for system, each in zip(systems, of_set)],
                "difference": differences[name],
            }
            for name, of_set in evaluations.items()
        ],
        "utterances": shown,
        "sampling": {"shown": len(shown), "all": len(rows), "limit": limit, "seed": seed},
        "notes": notes,
    }
    return Page(main, details)


def _choose_sets(systems: Sequence[System], sets: Sequence[str]) -> List[str]:
    """The sets to browse: test sets, else all, with results of every system by its method."""
    there = [
        {record["set"] for record in system.results if record["method"] == system.method}
        for system in systems
    ]
    found = [record for record in systems[0].results if record["set"] in set.intersection(*there)]
    tests = [record["set"] for record in found if record["role"] == "test"]
    names = list(dict.fromkeys(sets or tests or [record["set"] for record in found]))
    for name in names:
        if not all(name in each for each in there):
            raise UserError(
                f"no results of {name}",
                expected=f"one of: {', '.join(sorted(set.intersection(*there)))}",
                where="--set-name",
                todo="choose one of these",
            )
    if not names:
        raise UserError(
            "no set with results of every experiment by its method",
            expected=", ".join(f"{system.label} {system.method}" for system in systems),
            where="results.json",
        )
    return names


def _breakdown(system: System, name: str, evaluation: Evaluation) -> Dict[str, Any]:
    """Where the errors of a set are; the confidences are those of the method that has some."""
    calibrated: Dict[str, Any] = next(
        (each for each in system.results if each["set"] == name and each.get("calibration")), {}
    )
    return {
        **break_down(evaluation, CONFUSIONS),
        "calibration": calibrated.get("calibration"),
        "calibrated": calibrated.get("method", ""),
    }


def _difference(evaluations: Sequence[Evaluation], samples: int) -> Dict[str, Any]:
    """The second system's error rate less the first's, in percent, and whether that is more than chance."""
    found = compare(evaluations[0], evaluations[1], samples)
    return {
        "rate": found.difference,
        "interval": list(found.interval),
        "p_value": found.p_value,
        "better": [sum(sign * each > 0 for each in found.differences) for sign in (1, -1)],  # utterances
    }

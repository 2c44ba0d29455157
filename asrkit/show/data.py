"""Collect what the page of one experiment, or of two side by side, shows."""

import base64
import math
import random
import sys
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np

from asrkit.errors import UserError
from asrkit.pipeline.cost import read_cost
from asrkit.pipeline.experiment import Experiment
from asrkit.score.alignment import align, count
from asrkit.score.breakdown import break_down
from asrkit.score.comparison import compare, refuse_unpaired
from asrkit.score.evaluation import Evaluation
from asrkit.score.records import RATES, headlines, read_results
from asrkit.score.report import chosen_method
from asrkit.score.transcripts import Transcript
from asrkit.show import stored
from asrkit.show.word_graph import largest_graph, lay_out

LIMIT = 150  # utterances: AN4's test set of 130 whole, and at most some 30 MB of audio of other corpora
CONFUSIONS = 15  # of each kind
CANDIDATES = 30  # of an n-best list
GRAPH_SECONDS = 20.0  # no word graph of longer utterances
SEED = 0  # of the random part of a sample
CURVES = ("epoch", "train_loss", "loss", "decoder_loss", "learning_rate", "gradient_norm", "blank_share")
HEADLINE = (
    *("set", "role", "method", "unit", "errors", "reference", "insertions", "deletions", "substitutions"),
    *("rate", "interval", "interval_by_speaker", "confidence", "rtf", "utterances", "rejected", "lost"),
    *("fallbacks", "settings", "partial"),
)


class Page(NamedTuple):
    """What the page shows at once, and what it shows of each utterance once that is opened."""

    main: Dict[str, Any]
    details: List[Dict[str, Any]]  # in the order of main["utterances"]


class System(NamedTuple):
    """An experiment, and what is shown of it."""

    label: str
    experiment: Experiment
    results: List[Dict[str, Any]]  # in the experiment's own unit
    method: str  # chosen on dev
    timed: str  # the method that gives times of words, "" if none was decoded


def collect(
    experiments: Mapping[str, Experiment],
    limit: int = LIMIT,
    sets: Sequence[str] = (),
    seed: int = SEED,
    beams: Sequence[float] = (),
) -> Page:
    """The data of a page: of one experiment, or of two that were scored on the same sets, by label.

    `sets`: those whose utterances can be browsed, all test sets if it is empty; of more than `limit`
    utterances a sample, see `sample`. `beams`: search beams to try on dev. Raises UserError for what has no
    results, for a set that isn't there, and for two experiments whose utterances differ.
    """
    systems = [_open(label, experiment) for label, experiment in experiments.items()]
    first = systems[0]
    names = _choose_sets(systems, sets)
    unit = first.experiment.config.score.unit  # of both
    evaluations = {
        name: [stored.evaluate_method(system.experiment, name, system.method, unit) for system in systems]
        for name in names
    }
    for of_set in evaluations.values():
        refuse_unpaired(of_set[0].transcripts, of_set[-1].transcripts)
    rows = [
        _utterance(name, place, of_set)
        for name, of_set in evaluations.items()
        for place in range(len(of_set[0].transcripts))
    ]
    shown = sample(rows, limit, seed, lambda: stored.count_training_words(first.experiment))
    _add_other_methods(shown, systems, unit)
    notes: List[str] = []
    details = _collect_details(shown, systems, notes)
    main = {
        "title": " and ".join(experiments),
        "labels": list(experiments),
        "unit": unit,
        "rate": RATES[unit],
        "systems": [_overview(system, beams) for system in systems],
        "sets": [
            {
                "name": name,
                "systems": [_breakdown(system, name, each) for system, each in zip(systems, of_set)],
                "difference": _difference(first, of_set) if len(of_set) > 1 else None,
            }
            for name, of_set in evaluations.items()
        ],
        "utterances": shown,
        "sampling": {"shown": len(shown), "all": len(rows), "limit": limit, "seed": seed},
        "notes": notes,
    }
    return Page(main, details)


def sample(
    rows: Sequence[Dict[str, Any]], limit: int, seed: int, training_counts: Callable[[], Mapping[str, int]]
) -> List[Dict[str, Any]]:
    """All rows, or `limit` of them: a third with the most errors, one with the rarest words, one at random.

    Each row gets `why`: "worst", "rare words", "random", or "" where all are taken. A word's rarity is
    its count in the training set, which is only asked for if needed. The same seed gives the same sample.
    """
    if len(rows) <= limit:
        return [{**row, "why": ""} for row in rows]
    counts = training_counts()
    left = list(range(len(rows)))
    chosen: Dict[int, str] = {}

    def take(order: Iterable[int], why: str, number: int) -> None:
        chosen.update(dict.fromkeys(list(order)[:number], why))
        left[:] = [index for index in left if index not in chosen]

    def rarity(index: int) -> Tuple[int, str]:
        words = rows[index]["words"]
        return min((counts.get(word, 0) for word in words), default=sys.maxsize), rows[index]["id"]

    def errors(index: int) -> Tuple[int, str]:
        return -max(system["errors"] for system in rows[index]["systems"]), rows[index]["id"]

    third = math.ceil(limit / 3)
    take(sorted(left, key=errors), "worst", third)
    take(sorted(left, key=rarity), "rare words", min(third, limit - len(chosen)))
    take(random.Random(seed).sample(left, len(left)), "random", limit - len(chosen))
    return [{**row, "why": chosen[index]} for index, row in enumerate(rows) if index in chosen]


def mark_times(transcript: Transcript) -> List[List[Any]]:
    """[word, start, duration, confidence, whether it is correct] of each word; none if no times are known."""
    if transcript.timed is None:
        return []
    pairs = align(transcript.reference, transcript.hypothesis)
    right = [reference == hypothesis for reference, hypothesis in pairs if hypothesis]
    return [
        [word, *timed, correct]
        for word, timed, correct in zip(transcript.hypothesis, transcript.timed, right)
    ]


def sparse_posteriors(probabilities: np.ndarray, symbols: Sequence[str], step: float) -> Dict[str, Any]:
    """Probabilities (frame, unit) above LEAST_POSTERIOR, in percent, without the blank (unit 0).

    `tokens` are the units that are ever above it, in the order of their first frames; `frames` holds
    [token, percent, token, percent, ...] of each frame; `blank` the blank's percent of each; `step` seconds.
    """
    tokens: Dict[int, int] = {}
    frames: List[List[int]] = []
    for frame in probabilities:
        above = [unit for unit in np.flatnonzero(frame > stored.LEAST_POSTERIOR).tolist() if unit]
        frames.append(
            [
                value
                for unit in above
                for value in (tokens.setdefault(unit, len(tokens)), round(100 * float(frame[unit])))
            ]
        )
    blank = np.round(100 * probabilities[:, 0]).astype(int).tolist()
    return {"tokens": [symbols[unit] for unit in tokens], "frames": frames, "blank": blank, "step": step}


def describe_nbest(nbest: stored.NBestList, reference: Sequence[str]) -> Dict[str, Any]:
    """The first of a list, each with its words, its word errors, and its total and other scores."""
    rows = [
        {
            "words": each.words,
            "errors": count(align(reference, each.words)).errors,
            "scores": [round(score, 2) for score in (each.total, *each.scores)],
        }
        for each in nbest.candidates[:CANDIDATES]
    ]
    columns = ["total", *nbest.columns]
    return {"method": nbest.method, "columns": columns, "rows": rows, "all": len(nbest.candidates)}


def draw_graph(nbest: stored.NBestList) -> Optional[Dict[str, Any]]:
    """The word graph of the best hypotheses with its layout; None where there is nothing to be seen.

    A hypothesis's probability is its share of the list's exponentiated totals.
    """
    totals = np.array([each.total for each in nbest.candidates if np.isfinite(each.total)])
    if not len(totals):
        return None
    shares = np.exp(totals - totals.max())
    shares /= shares.sum()
    graph = largest_graph([(each.words, float(p)) for each, p in zip(nbest.candidates, shares)])
    if len(graph.arcs) < 1:
        return None
    states, bends = lay_out(graph)
    arcs = [
        [arc.start, arc.end, arc.word, round(arc.posterior, 3), points]
        for arc, points in zip(graph.arcs, bends)
    ]
    return {"states": states, "arcs": arcs, "hypotheses": graph.hypotheses, "all": len(nbest.candidates)}


def _open(label: str, experiment: Experiment) -> System:
    stored.refuse_unscored(experiment)
    results = read_results(experiment.directory / "results.json")
    decoded = {record["method"] for record in results}
    timed = next((each for each in stored.FIRST_PASS if each in decoded), "")
    return System(label, experiment, headlines(results), chosen_method(results) or "", timed)


def _choose_sets(systems: Sequence[System], sets: Sequence[str]) -> List[str]:
    """The sets to browse; those that every system has results of."""
    there = [{record["set"] for record in system.results} for system in systems]
    tests = [record["set"] for record in systems[0].results if record["role"] == "test"]
    names = list(dict.fromkeys(sets or [name for name in tests if all(name in each for each in there)]))
    for name in names:
        if not all(name in each for each in there):
            raise UserError(
                f"no results of {name}",
                expected=f"one of: {', '.join(sorted(set.intersection(*there)))}",
                where="--set-name",
            )
    if not names:
        raise UserError(
            "no test set that both experiments have results of",
            expected="experiments on one corpus",
            where="results.json",
        )
    return names


def _utterance(name: str, place: int, evaluations: Sequence[Evaluation]) -> Dict[str, Any]:
    """A row of the browser; evaluations hold their utterances in the order of ids."""
    transcript = evaluations[0].transcripts[place]
    return {
        "id": transcript.id,
        "set": name,
        "speaker": transcript.speaker,
        "seconds": round(transcript.duration, 2),
        "words": transcript.reference,
        "rejected": transcript.rejected,
        "systems": [_hypothesis(each, place) for each in evaluations],
    }


def _hypothesis(evaluation: Evaluation, place: int) -> Dict[str, Any]:
    counts = evaluation.counts[place]
    return {
        "errors": counts.errors,
        "reference": counts.reference,
        "pairs": [list(pair) for pair in evaluation.alignments[place]],
        "fallback": evaluation.transcripts[place].outcome,
        "others": [],
        "times": [],
    }


def _add_other_methods(rows: Sequence[Dict[str, Any]], systems: Sequence[System], unit: str) -> None:
    """Add [method, errors, hypothesis] of the methods beside the chosen one, and the times of words."""
    by_set: Dict[str, Dict[str, Dict[str, Any]]] = {}
    for row in rows:
        by_set.setdefault(row["set"], {})[row["id"]] = row
    for name, of_set in by_set.items():
        for place, system in enumerate(systems):
            methods = [record["method"] for record in system.results if record["set"] == name]
            for method in dict.fromkeys(methods):
                evaluation = stored.evaluate_method(system.experiment, name, method, unit)
                for transcript, counts in zip(evaluation.transcripts, evaluation.counts):
                    if transcript.id in of_set:
                        shown = of_set[transcript.id]["systems"][place]
                        if method != system.method:
                            shown["others"].append([method, counts.errors, " ".join(transcript.hypothesis)])
                        if method == system.timed:
                            shown["times"] = mark_times(transcript)


def _collect_details(
    rows: Sequence[Dict[str, Any]], systems: Sequence[System], notes: List[str]
) -> List[Dict[str, Any]]:
    """Audio, posteriors, n-best list and word graph of each row; what can't be shown is in `notes`."""
    details: List[Dict[str, Any]] = [{"audio": None, "systems": [{} for _ in systems]} for _ in rows]
    for name in dict.fromkeys(row["set"] for row in rows):
        of_set = {
            row["id"]: (row, detail)
            for row, detail in zip(rows, details)
            if row["set"] == name and not row["rejected"]
        }
        of_rows = {key: row for key, (row, _) in of_set.items()}
        audio = {key: detail for key, (_, detail) in of_set.items()}
        _fill(audio, _audio_of(systems[0], name, of_rows), f"{name}: audio", notes)
        for place, system in enumerate(systems):
            target = {key: detail["systems"][place] for key, (_, detail) in of_set.items()}
            label = f" of {system.label}" if len(systems) > 1 else ""
            _fill(target, _posteriors_of(system, name, of_rows), f"{name}: posteriors{label}", notes)
            _fill(target, _nbest_of(system, name, of_rows), f"{name}: n-best lists{label}", notes)
    return details


def _fill(
    target: Mapping[str, Dict[str, Any]],
    found: Iterable[Tuple[str, Dict[str, Any]]],
    what: str,
    notes: List[str],
) -> None:
    """Add what is found to the details of its utterance; a page without it is still worth having."""
    filled, reason = 0, ""
    try:
        for key, values in found:
            target[key].update(values)
            filled += 1
    except UserError as error:
        reason = f": {error.found}"
    if filled < len(target):
        lacking = f"not available for {len(target) - filled} of {len(target)} utterances"
        notes.append(f"{what} {lacking}{reason}")


Found = Iterator[Tuple[str, Dict[str, Any]]]  # utterance and what its details get


def _audio_of(system: System, name: str, rows: Mapping[str, Dict[str, Any]]) -> Found:
    for key, content in stored.iterate_audio(system.experiment, name, rows):
        yield key, {"audio": base64.b64encode(content).decode("ascii")}


def _posteriors_of(system: System, name: str, rows: Mapping[str, Dict[str, Any]]) -> Found:
    symbols, step = stored.read_symbols(system.experiment), stored.frame_step(system.experiment)
    for key, probabilities in stored.iterate_posteriors(system.experiment, name, rows):
        yield key, {"posteriors": sparse_posteriors(probabilities, symbols, step)}


def _nbest_of(system: System, name: str, rows: Mapping[str, Dict[str, Any]]) -> Found:
    for key, nbest in stored.iterate_nbest(system.experiment, name, rows):
        short = rows[key]["seconds"] <= GRAPH_SECONDS
        graph = draw_graph(nbest) if short else None
        yield key, {"nbest": describe_nbest(nbest, rows[key]["words"]), "graph": graph}


def _sweep(system: System, beams: Sequence[float]) -> Dict[str, Any]:
    from asrkit.show.beams import sweep_beams  # imports k2

    return sweep_beams(system.experiment, beams)


def _overview(system: System, beams: Sequence[float]) -> Dict[str, Any]:
    """Results, cost, learning curves, and the weights tried on dev, of an experiment."""
    scales = stored.read_scales(system.experiment)
    on_dev = [record for record in system.results if record["set"] == scales["chosen_on"]]
    order = sorted(
        system.results,
        key=lambda record: (record["set"] == scales["chosen_on"], record["method"] != system.method),
    )
    return {
        "label": system.label,
        "method": system.method,
        "timed": system.timed,
        "results": [{key: record.get(key) for key in HEADLINE} for record in order],
        "facts": _facts(read_cost(system.experiment)),
        "curves": [_curve_row(row) for row in stored.read_log(system.experiment)],
        "beams": _sweep(system, beams) if beams else None,
        "sweeps": {
            "set": scales["chosen_on"],
            "words": on_dev[0]["reference"] if on_dev and on_dev[0]["unit"] == "word" else None,
            "methods": [
                {"method": method, "chosen": scales["weights"].get(method, {}), "tried": tried}
                for method, tried in scales["tried"].items()
            ],
        },
    }


def _curve_row(row: Mapping[str, Any]) -> Dict[str, Any]:
    dev = 100.0 * row["errors"] / max(1, row["words"])
    return {**{key: row[key] for key in CURVES if key in row}, "dev_wer": dev}


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


def _breakdown(system: System, name: str, evaluation: Evaluation) -> Dict[str, Any]:
    """Where the errors of a set are; the confidences are those of the method that has some."""
    with_confidence = [
        record for record in system.results if record["set"] == name and record.get("calibration")
    ]
    return {
        **break_down(evaluation, CONFUSIONS),
        "method": system.method,
        "calibration": with_confidence[0]["calibration"] if with_confidence else None,
        "calibrated": with_confidence[0]["method"] if with_confidence else "",
    }


def _difference(system: System, evaluations: Sequence[Evaluation]) -> Dict[str, Any]:
    """The second system's error rate less the first's, in percent, and whether that is more than chance."""
    found = compare(evaluations[0], evaluations[1], system.experiment.config.score.bootstrap_samples)
    return {
        "rate": found.difference,
        "interval": list(found.interval),
        "p_value": found.p_value,
        "better": [sum(sign * each > 0 for each in found.differences) for sign in (1, -1)],  # utterances
    }


def labels_of(directories: Sequence[Path]) -> List[str]:
    """What experiments are called on the page: the names of their folders, as many as tell them apart."""
    places = [directory.resolve() for directory in directories]
    for depth in range(1, max(len(place.parts) for place in places)):
        labels = ["/".join(place.parts[-depth:]) for place in places]
        if len(set(labels)) == len(labels):
            return labels
    return [str(place) if at == 0 else f"{place} ({at + 1})" for at, place in enumerate(places)]

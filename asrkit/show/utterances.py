"""The utterances of a page: their alignments, and audio, posteriors, n-best list and word graph of each."""

import base64
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Sequence, Tuple

import numpy as np

from asrkit.errors import UserError
from asrkit.score.alignment import align, count
from asrkit.score.evaluation import Evaluation
from asrkit.score.transcripts import Transcript
from asrkit.show import stored
from asrkit.show.systems import System
from asrkit.show.word_graph import WordGraph, of_hypotheses

CANDIDATES = 30  # of an n-best list
GRAPH_SECONDS = 20.0  # no word graph of longer utterances
Row = Dict[str, Any]
Found = Iterator[Tuple[str, Row]]  # utterance and what its details get


def describe_utterance(name: str, place: int, evaluations: Sequence[Evaluation]) -> Row:
    """A row of the browser; evaluations, one per system, hold their utterances in the order of ids."""
    transcript = evaluations[0].transcripts[place]
    return {
        "id": transcript.id,
        "set": name,
        "speaker": transcript.speaker,
        "seconds": round(transcript.duration, 2),
        "words": transcript.reference,
        "rejected": transcript.rejected,
        "systems": [
            {
                "errors": each.counts[place].errors,
                "reference": each.counts[place].reference,
                "pairs": [list(pair) for pair in each.alignments[place]],
                "fallback": each.transcripts[place].outcome,
                "others": [],
                "times": [],
            }
            for each in evaluations
        ],
    }


def add_other_methods(rows: Sequence[Row], systems: Sequence[System], unit: str) -> None:
    """Add [method, errors, hypothesis] of the methods beside the chosen one, and the times of words."""
    by_key = {(row["set"], row["id"]): row for row in rows}
    for place, system in enumerate(systems):
        decoded = dict.fromkeys((record["set"], record["method"]) for record in system.results)
        for name, method in decoded:
            if not any(row["set"] == name for row in rows):
                continue
            evaluation = stored.evaluate_method(system.experiment, name, method, unit)
            for transcript, counts in zip(evaluation.transcripts, evaluation.counts):
                row = by_key.get((name, transcript.id))
                if row and method != system.method:
                    other = [method, counts.errors, " ".join(transcript.hypothesis)]
                    row["systems"][place]["others"].append(other)
                if row and method == system.timed:
                    row["systems"][place]["times"] = mark_times(transcript)


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


def collect_details(rows: Sequence[Row], systems: Sequence[System], notes: List[str]) -> List[Row]:
    """Audio, posteriors, n-best list and word graph of each row; what can't be shown is in `notes`."""
    details: List[Row] = [{"audio": None, "systems": [{} for _ in systems]} for _ in rows]
    for name in dict.fromkeys(row["set"] for row in rows):
        of_set = [
            (row, detail) for row, detail in zip(rows, details) if row["set"] == name and not row["rejected"]
        ]
        wanted = {row["id"]: row for row, _ in of_set}
        audio = {row["id"]: detail for row, detail in of_set}
        _fill(audio, _audio_of(systems[0], name, wanted), f"{name}: audio", notes)
        for key, found in _synthetic_of(systems[0], name, wanted):
            audio[key].update(found)
        for place, system in enumerate(systems):
            target = {row["id"]: detail["systems"][place] for row, detail in of_set}
            label = f" of {system.label}" if len(systems) > 1 else ""
            _fill(target, _posteriors_of(system, name, wanted), f"{name}: posteriors{label}", notes)
            _fill(target, _nbest_of(system, name, wanted), f"{name}: n-best lists{label}", notes)
            short = {key: target[key] for key, row in wanted.items() if row["seconds"] <= GRAPH_SECONDS}
            _fill(short, _lattices_of(system, name, short), f"{name}: lattices{label}", notes)
    return details


def _fill(target: Mapping[str, Row], found: Iterable[Tuple[str, Row]], what: str, notes: List[str]) -> None:
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


def _audio_of(system: System, name: str, ids: Iterable[str]) -> Found:
    for key, content in stored.iterate_audio(system.experiment, name, ids):
        yield key, {"audio": base64.b64encode(content).decode("ascii")}


def _synthetic_of(system: System, name: str, ids: Iterable[str]) -> Found:
    for key, row, content in stored.iterate_synthetic(system.experiment, name, ids):
        audio = base64.b64encode(content).decode("ascii")
        yield key, {"synthetic": {"audio": audio, "speaker": row["speaker"], "words": row["hyp"]}}


def _posteriors_of(system: System, name: str, ids: Iterable[str]) -> Found:
    symbols, step = stored.read_symbols(system.experiment), stored.frame_step(system.experiment)
    for key, probabilities in stored.iterate_posteriors(system.experiment, name, ids):
        yield key, {"posteriors": sparse_posteriors(probabilities, symbols, step)}


def _nbest_of(system: System, name: str, rows: Mapping[str, Row]) -> Found:
    for key, nbest in stored.iterate_nbest(system.experiment, name, rows):
        found = {"nbest": describe_nbest(nbest, rows[key]["words"])}
        shares = nbest.shares()
        if shares and rows[key]["seconds"] <= GRAPH_SECONDS:  # replaced by the lattice's, if that is stored
            found["graph"] = describe_graph(of_hypotheses(shares), "n-best list")
        yield key, found


def _lattices_of(system: System, name: str, ids: Iterable[str]) -> Found:
    for key, graph in stored.iterate_graphs(system.experiment, name, ids):
        yield key, {"graph": describe_graph(graph, "lattice")}


def sparse_posteriors(probabilities: np.ndarray, symbols: Sequence[str], step: float) -> Row:
    """Probabilities (frame, unit) above LEAST_POSTERIOR, in percent, without the blank (unit 0).

    `tokens` are the units that are ever above it, in the order of their first frames; `frames` holds
    [token, percent, token, percent, ...] of each frame; `blank` the blank's percent of each; `step` seconds.
    """
    tokens: Dict[int, int] = {}
    frames: List[List[int]] = []
    for frame in probabilities:
        above = [unit for unit in np.flatnonzero(frame > stored.LEAST_POSTERIOR).tolist() if unit]
        pairs = [(tokens.setdefault(unit, len(tokens)), round(100 * float(frame[unit]))) for unit in above]
        frames.append([value for pair in pairs for value in pair])
    blank = np.round(100 * probabilities[:, 0]).astype(int).tolist()
    return {"tokens": [symbols[unit] for unit in tokens], "frames": frames, "blank": blank, "step": step}


def describe_nbest(nbest: stored.NBestList, reference: Sequence[str]) -> Row:
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


def describe_graph(graph: WordGraph, source: str) -> Row:
    """A word graph as the page's script draws it."""
    return {
        "source": source,
        "nodes": [[node.word, round(node.place, 3), round(node.posterior, 3)] for node in graph.nodes],
        "edges": [[start, end, round(posterior, 3)] for start, end, posterior in graph.edges],
    }

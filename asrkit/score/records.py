"""Records of results (results.json): writing, reading, checking, and their text on the terminal."""

import dataclasses
from pathlib import Path
from typing import Any, Dict, List, Literal, Mapping, Optional, Sequence, Tuple

import msgspec

from asrkit.errors import UserError
from asrkit.score.alignment import Counts
from asrkit.score.breakdown import break_down
from asrkit.score.evaluation import Evaluation
from asrkit.storage.files import read_json

RATES = {"word": "WER", "character": "CER", "unit": "UER"}
CONFUSIONS_SHOWN = 5  # of each kind, in a record
Groups = Dict[str, Tuple[int, int]]  # {name: (errors, reference tokens)}


class Timing(msgspec.Struct):
    """Content of decode/{split}/timing_{method}.json."""

    audio_seconds: float
    seconds: float
    fallbacks: Dict[str, int]
    settings: Dict[str, Any]


class Result(msgspec.Struct):
    """A record of results.json; one per set, method and unit."""

    set: str
    role: Literal["test", "dev", "bound"]  # dev: scales were chosen on it; bound: the oracle, no result
    method: str
    unit: Literal["word", "character", "unit"]
    errors: int
    reference: int
    insertions: int
    deletions: int
    substitutions: int
    rate: float
    interval: Tuple[float, float]
    interval_by_speaker: Optional[Tuple[float, float]]
    confidence: float
    rtf: Optional[float]
    utterances: int
    rejected: int  # never decoded: all words counted as deletions
    lost: int  # excluded from scoring
    fallbacks: Dict[str, int]
    settings: Dict[str, Any]
    normalise: List[str]
    calibration: Optional[Dict[str, Any]]  # of the word confidences, whatever the unit
    speakers: Groups
    lengths: Groups
    snr: Groups
    confusions: Dict[str, List[Tuple[str, str, int]]]
    groups: Dict[str, Tuple[int, int, float, float]] = {}  # of speakers, with the interval
    training: Optional[str] = None  # name of the training whose model was used
    partial: Optional[str] = None  # such as "368 of 37,045 utterances"
    in_training_data: Optional[str] = None  # of the set: such as "30 of 130 utterances"


def make_record(
    evaluation: Evaluation,
    name: str,
    role: str,
    method: str,
    timing: Dict[str, Any],
    lost: int,
    normalise: Sequence[str] = (),
    calibration: Optional[Dict[str, Any]] = None,
) -> Dict[str, Any]:
    """Make the record of an evaluation; its fields are those of Result, `timing` is a Timing."""
    audio, by_speaker = float(timing["audio_seconds"]), evaluation.interval_by_speaker
    return {
        "set": name,
        "role": role,
        "method": method,
        "unit": evaluation.unit,
        "errors": evaluation.total.errors,
        **dataclasses.asdict(evaluation.total),
        "rate": evaluation.total.rate,
        "interval": list(evaluation.interval),
        "interval_by_speaker": by_speaker and list(by_speaker),
        "confidence": evaluation.confidence,
        "rtf": float(timing["seconds"]) / audio if audio > 0 else None,
        "utterances": len(evaluation.transcripts),
        "rejected": sum(bool(transcript.rejected) for transcript in evaluation.transcripts),
        "lost": lost,
        "fallbacks": timing["fallbacks"],
        "settings": timing["settings"],
        "training": timing.get("training"),
        "normalise": list(normalise),
        "calibration": calibration,
        **break_down(evaluation, CONFUSIONS_SHOWN),
    }


def read_results(file: Path) -> List[Dict[str, Any]]:
    """Records of results.json; UserError if there is none or a field is missing."""
    results = list(read_json(file, List[Result]))
    if not results:
        raise UserError("no results", "the list that stage score writes", str(file), "run.sh --stage score")
    return results


def headlines(results: Sequence[Dict[str, Any]], role: Optional[str] = None) -> List[Dict[str, Any]]:
    """The first record of each (set, method): that in the recipe's unit (score.unit)."""
    first: Dict[Any, Dict[str, Any]] = {}
    for record in results:
        if role is None or record["role"] == role:
            first.setdefault((record["set"], record["method"]), record)
    return list(first.values())


def record_counts(record: Dict[str, Any]) -> Counts:
    """The error counts of a record."""
    return Counts(record["reference"], record["insertions"], record["deletions"], record["substitutions"])


def describe_interval(interval: Sequence[float]) -> str:
    """For example "[0.39, 1.55]"."""
    return f"[{interval[0]:.2f}, {interval[1]:.2f}]"


def describe(unit: str, counts: Counts, interval: Sequence[float]) -> str:
    """For example "WER 7/773 = 0.91 % [0.39, 1.55]  ins 1 del 2 sub 4"."""
    kinds = f"ins {counts.insertions} del {counts.deletions} sub {counts.substitutions}"
    return f"{RATES[unit]} {counts} {describe_interval(interval)}  {kinds}"


def describe_limits(record: Mapping[str, Any]) -> str:
    """For example ", partial: 368 of 34,098 utterances"; empty for a complete corpus of unseen utterances."""
    limits = (("partial", "partial"), ("in training data", "in_training_data"))
    return "".join(f", {name}: {record[field]}" for name, field in limits if record.get(field))


def describe_groups(groups: Mapping[str, Sequence[Any]]) -> Dict[str, str]:
    """For example {"1-4": "2/300 = 0.67 %"} for {"1-4": [2, 300]}; with an interval if the group has one."""
    described = {}
    for name, (errors, length, *interval) in groups.items():
        rate = str(Counts(length, substitutions=errors))
        described[name] = f"{rate} {describe_interval(interval)}" if interval else rate
    return described


def describe_confusion(confusion: Sequence[Any]) -> str:
    """For example "4 A -> THE"; "4 A" for an insertion or a deletion."""
    reference, hypothesis, number = confusion
    return f"{number} {' -> '.join(filter(None, (reference, hypothesis)))}"


def describe_rtf(rtf: Optional[float]) -> str:
    """Real-time factor, seconds of decoding per second of audio, with two significant digits."""
    return "not recorded" if rtf is None else f"{rtf:.2g}"


def summary_lines(results: Sequence[Dict[str, Any]]) -> List[str]:
    """One line per record: set, method, rate with interval, kinds of errors, real-time factor."""
    rows = [
        (
            f"{record['set']}{' (dev)' if record['role'] == 'dev' else ''}",
            record["method"],
            describe(record["unit"], record_counts(record), record["interval"]) + describe_limits(record),
            f"RTF {describe_rtf(record['rtf'])}",
        )
        for record in results
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]

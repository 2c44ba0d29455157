"""Records of results (results.json) and of cost (cost.json): reading, checking, putting into words."""

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


class Timing(msgspec.Struct):
    """What decode/{split}/timing_{method}.json holds."""

    audio_seconds: float
    seconds: float
    fallbacks: Dict[str, int]
    settings: Dict[str, Any]


class Result(msgspec.Struct):
    """What every record of results.json holds, beside facts that older ones lack."""

    set: str
    role: str
    method: str
    unit: Literal["word", "character", "unit"]
    errors: int
    reference: int
    insertions: int
    deletions: int
    substitutions: int
    rate: float
    interval: Tuple[float, float]
    confidence: float
    rtf: Optional[float]
    utterances: int
    rejected: int
    lost: int
    fallbacks: Dict[str, int]
    settings: Dict[str, Any]
    speakers: Dict[str, Tuple[int, int]]  # errors and reference tokens
    interval_by_speaker: Optional[Tuple[float, float]] = None
    normalise: List[str] = []
    partial: Optional[str] = None
    calibration: Optional[Dict[str, Any]] = None
    lengths: Dict[str, Tuple[int, int]] = {}
    snr: Dict[str, Tuple[int, int]] = {}
    confusions: Dict[str, List[Tuple[str, str, int]]] = {}


RESULT_KEYS = [field.name for field in msgspec.structs.fields(Result) if field.required]


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
    """An object of results.json.

    `role` is "dev" for the set that scales and beams were chosen on, else "test"; `timing` is
    decode/{split}/timing_{method}.json; `lost` is the number of utterances that are in no count.
    `rejected` in the record are those never decoded, counted as deletions; `calibration` is that of
    the confidences of words, whatever unit the record counts; the last keys are those of break_down,
    with the most frequent confusions.
    """
    total, audio = evaluation.total, float(timing["audio_seconds"])
    by_speaker = evaluation.interval_by_speaker
    return {
        "set": name,
        "role": role,
        "method": method,
        "unit": evaluation.unit,
        "errors": total.errors,
        "reference": total.reference,
        "insertions": total.insertions,
        "deletions": total.deletions,
        "substitutions": total.substitutions,
        "rate": total.rate,
        "interval": list(evaluation.interval),
        "interval_by_speaker": by_speaker and list(by_speaker),
        "confidence": evaluation.confidence,
        "rtf": float(timing["seconds"]) / audio if audio > 0 else None,
        "utterances": len(evaluation.transcripts),
        "rejected": sum(bool(transcript.rejected) for transcript in evaluation.transcripts),
        "lost": lost,
        "fallbacks": timing["fallbacks"],
        "settings": timing["settings"],
        "training": timing.get("training"),  # the name of that whose model was used
        "normalise": list(normalise),
        "calibration": calibration,
        **break_down(evaluation, CONFUSIONS_SHOWN),
    }


def read_results(file: Path) -> List[Dict[str, Any]]:
    """Objects of results.json; raises UserError when one lacks a key."""
    results = read_json(file, List[Dict[str, Any]])
    lacking = [key for record in results for key in RESULT_KEYS if key not in record]
    if lacking or not results:
        raise UserError(
            f"a result without {lacking[0]}" if lacking else "no results",
            expected="the list that stage score writes",
            where=str(file),
            todo="score again: run.sh --stage score",
        )
    return list(read_json(file, List[Result]))


def headlines(results: Sequence[Dict[str, Any]], role: Optional[str] = None) -> List[Dict[str, Any]]:
    """The first record of each (set, method): the one in the unit that the recipe reports."""
    first: Dict[Any, Dict[str, Any]] = {}
    for record in results:
        if role is None or record["role"] == role:
            first.setdefault((record["set"], record["method"]), record)
    return list(first.values())


def record_counts(record: Dict[str, Any]) -> Counts:
    """The counts of a record of results.json."""
    return Counts(record["reference"], record["insertions"], record["deletions"], record["substitutions"])


def describe_rate(counts: Counts) -> str:
    """For example "7/773 = 0.91 %"."""
    return f"{counts.errors}/{counts.reference} = {counts.rate:.2f} %"


def describe_interval(interval: Sequence[float]) -> str:
    """For example "[0.39, 1.55]"."""
    return f"[{interval[0]:.2f}, {interval[1]:.2f}]"


def describe_result(unit: str, counts: Counts, interval: Sequence[float]) -> str:
    """For example "WER 7/773 = 0.91 % [0.39, 1.55]"."""
    return f"{RATES[unit]} {describe_rate(counts)} {describe_interval(interval)}"


def describe(unit: str, counts: Counts, interval: Sequence[float]) -> str:
    """For example "WER 7/773 = 0.91 % [0.39, 1.55]  ins 1 del 2 sub 4"."""
    kinds = f"ins {counts.insertions} del {counts.deletions} sub {counts.substitutions}"
    return f"{describe_result(unit, counts, interval)}  {kinds}"


def describe_partial(record: Mapping[str, Any]) -> str:
    """For example ", partial: 368 of 34,098 utterances", of a corpus that isn't complete; else nothing."""
    return f", partial: {record['partial']}" if record.get("partial") else ""


def describe_groups(groups: Mapping[str, Sequence[int]]) -> List[str]:
    """For example ["1-4 2/300 = 0.67 %", ...] of {name: [errors, reference tokens]}."""
    return [
        f"{name} {describe_rate(Counts(length, 0, 0, wrong))}" for name, (wrong, length) in groups.items()
    ]


def describe_confusion(confusion: Sequence[Any]) -> str:
    """For example "4 A -> THE", or "4 A" where one side is nothing."""
    reference, hypothesis, number = confusion
    return f"{number} {' -> '.join(filter(None, (reference, hypothesis)))}"


def summary_lines(results: Sequence[Dict[str, Any]]) -> List[str]:
    """One line a record: set, method, rate with interval, kinds of errors, real-time factor."""
    names = [f"{record['set']}{' (dev)' if record['role'] == 'dev' else ''}" for record in results]
    rates = [
        describe(record["unit"], record_counts(record), record["interval"]) + describe_partial(record)
        for record in results
    ]
    name_width = max(map(len, names))
    method_width = max(len(record["method"]) for record in results)
    rate_width = max(map(len, rates))
    return [
        f"{name:{name_width}}  {record['method']:{method_width}}  {rate:{rate_width}}"
        f"  RTF {describe_rtf(record['rtf'])}"
        for name, rate, record in zip(names, rates, results)
    ]


def describe_rtf(rtf: Optional[float]) -> str:
    """Seconds of decoding a second of audio; two significant digits."""
    return "not recorded" if rtf is None else f"{rtf:.2g}"


def check_result(
    results: Sequence[Dict[str, Any]],
    name: str,
    method: str,
    max_rate: Optional[float] = None,
    max_errors: Optional[int] = None,
) -> str:
    """The line of (set, method); raises UserError when it is absent or worse than allowed."""
    found = [record for record in headlines(results) if (record["set"], record["method"]) == (name, method)]
    if not found:
        there = ", ".join(f"{record['set']} {record['method']}" for record in headlines(results))
        raise UserError(f"no result of {name} {method}", expected=f"one of: {there}", where="results.json")
    line = summary_lines(found)[0]
    limits = []
    if max_rate is not None and found[0]["rate"] > max_rate:
        limits.append(f"at most {max_rate:g} %")
    if max_errors is not None and found[0]["errors"] > max_errors:
        limits.append(f"at most {max_errors} errors")
    if limits:
        raise UserError(line, expected=" and ".join(limits), where="results.json")
    return line

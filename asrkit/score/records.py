"""Records of results (results.json) and of cost (cost.json): reading, checking, putting into words."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from asrkit.errors import UserError
from asrkit.score.alignment import Counts
from asrkit.storage.files import read_json

RESULT_KEYS = (
    *("set", "role", "method", "unit", "errors", "reference", "insertions", "deletions", "substitutions"),
    *("rate", "interval", "confidence", "rtf", "utterances", "rejected", "lost"),
    *("fallbacks", "settings", "speakers"),
)


def read_results(file: Path) -> List[Dict[str, Any]]:
    """Objects of results.json; raises UserError when one lacks a key."""
    results = read_json(file)
    lacking = [key for record in results for key in RESULT_KEYS if key not in record]
    if lacking or not results:
        raise UserError(
            f"a result without {lacking[0]}" if lacking else "no results",
            expected="the list that stage 9 writes",
            where=str(file),
            todo="score again: run.sh --stage 9",
        )
    return list(results)


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


def describe(unit: str, counts: Counts, interval: Sequence[float]) -> str:
    """For example "WER 7/773 = 0.91 % [0.39, 1.55]  ins 1 del 2 sub 4"."""
    return (
        f"{'WER' if unit == 'word' else 'CER'} {describe_rate(counts)} [{interval[0]:.2f}, {interval[1]:.2f}]"
        f"  ins {counts.insertions} del {counts.deletions} sub {counts.substitutions}"
    )


def summary_lines(results: Sequence[Dict[str, Any]]) -> List[str]:
    """One line a record: set, method, rate with interval, kinds of errors, real-time factor."""
    names = [f"{record['set']}{' (dev)' if record['role'] == 'dev' else ''}" for record in results]
    rates = [describe(record["unit"], record_counts(record), record["interval"]) for record in results]
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

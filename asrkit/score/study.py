"""Studies: variants of a recipe side by side, from their records alone."""

import statistics
from typing import Any, Dict, List, Sequence, Tuple

from asrkit.score.alignment import Counts
from asrkit.score.records import describe_interval
from asrkit.score.report import table

Row = Dict[str, Any]  # variant, settings, results, training_seconds, parameters, multiply_adds; acoustic_rtf


def render_study(name: str, rows: Sequence[Row], picture: str) -> str:
    """A section of RESULTS.md: a table with a line per variant, their spread, and the picture.

    A study of a single variant compares its methods: a line per method, with real-time factors.
    """
    lines = [f"## Study: {name}", ""]
    if len(rows) == 1:
        return "\n".join([*lines, *_method_lines(rows[0])])
    columns = list(dict.fromkeys((r["set"], r["method"]) for row in rows for r in row["results"]))
    heads = ["variant", "parameters", "multiply-adds per second", "training"]
    measured = any("acoustic_rtf" in row for row in rows)
    heads += [*(["RTF of the model, one thread"] if measured else []), *map(", ".join, columns)]
    cells = []
    for row in rows:
        rates = {(r["set"], r["method"]): _rate(r) for r in row["results"]}
        size = [f"{row['parameters']:,}", f"{row['multiply_adds'] / 1e6:.1f} M", _minutes(row)]
        size += [f"{row['acoustic_rtf']:.2g}" if "acoustic_rtf" in row else ""] if measured else []
        cells.append([row["variant"], *size, *(rates.get(column, "") for column in columns)])
    spread = [f"- {line}" for line in spread_lines(rows)]
    return "\n".join(
        [*lines, *table(heads, cells), *spread, *[""] * bool(spread), f"![{name}]({picture})", ""]
    )


def _method_lines(row: Row) -> List[str]:
    sets = list(dict.fromkeys(record["set"] for record in row["results"]))
    heads = ["method", *(head for of in sets for head in (of, f"RTF, {of}"))]
    cells: Dict[str, List[str]] = {}
    for record in row["results"]:
        cells.setdefault(record["method"], []).extend([_rate(record), f"{record['rtf']:.2g}"])
    size = f"{row['variant']}: {row['parameters']:,} parameters, {_minutes(row)} of training."
    return [size, "", *table(heads, [[method, *of] for method, of in cells.items()])]


def spread_lines(rows: Sequence[Row]) -> List[str]:
    """Mean and standard deviation per (set, method), if the variants differ in their seeds only."""
    if any(list(row["settings"].get("train", {})) != ["seed"] for row in rows):
        return []
    rates: Dict[Tuple[str, str], List[float]] = {}
    for row in rows:
        for record in row["results"]:
            rate = 100 * record["errors"] / record["reference"]
            rates.setdefault((record["set"], record["method"]), []).append(rate)
    return [
        f"{name}, {method}: mean {statistics.mean(of):.2f} %, standard deviation {statistics.stdev(of):.2f}, "
        f"from {min(of):.2f} to {max(of):.2f}, over {len(of)} variants."
        for (name, method), of in rates.items()
        if len(of) > 1
    ]


def _rate(record: Dict[str, Any]) -> str:
    counts = Counts(record["reference"], substitutions=record["errors"])
    return f"{counts} {describe_interval(record['interval'])}"


def _minutes(row: Row) -> str:
    return f"{row['training_seconds'] / 60:.1f} min"

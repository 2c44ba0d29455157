"""Studies: variants of a recipe side by side, from their records alone."""

import statistics
from typing import Any, Dict, List, Sequence, Tuple

from asrkit.score.alignment import Counts
from asrkit.score.records import describe_interval, describe_rate

Row = Dict[str, Any]  # variant, settings, results, training_seconds, parameters, multiply_adds


def render_study(name: str, rows: Sequence[Row], picture: str) -> str:
    """A section of RESULTS.md: one line a variant, error rates of each (set, method), and the picture.

    Where there is one variant alone, a line a method, with the seconds that it took a second of audio.
    """
    if len(rows) == 1:
        return _render_methods(name, rows[0])
    columns = list(dict.fromkeys((r["set"], r["method"]) for row in rows for r in row["results"]))
    heads = ["variant", "parameters", "multiply-adds a second", "training", *map(", ".join, columns)]
    lines = [f"## Study: {name}", "", f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for row in rows:
        rates = {(r["set"], r["method"]): _rate(r) for r in row["results"]}
        cells = [
            row["variant"],
            f"{row['parameters']:,}",
            f"{row['multiply_adds'] / 1e6:.1f} M",
            f"{row['training_seconds'] / 60:.1f} min",
            *(rates.get(column, "") for column in columns),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    spread = [f"- {line}" for line in spread_lines(rows)]
    return "\n".join([*lines, "", *spread, *([""] if spread else []), f"![{name}]({picture})", ""])


def _render_methods(name: str, row: Row) -> str:
    sets = list(dict.fromkeys(record["set"] for record in row["results"]))
    minutes = row["training_seconds"] / 60
    heads = ["method", *(head for of in sets for head in (of, f"RTF, {of}"))]
    lines = [
        f"## Study: {name}",
        "",
        f"{row['variant']}: {row['parameters']:,} parameters, {minutes:.1f} min of training.",
        "",
        f"| {' | '.join(heads)} |",
        f"|{' --- |' * len(heads)}",
    ]
    cells: Dict[str, List[str]] = {}
    for record in row["results"]:
        cells.setdefault(record["method"], []).extend([_rate(record), f"{record['rtf']:.2g}"])
    lines += [f"| {' | '.join([method, *of])} |" for method, of in cells.items()]
    return "\n".join([*lines, ""])


def spread_lines(rows: Sequence[Row]) -> List[str]:
    """Mean and standard deviation for each (set, method) of variants that differ by their seeds alone."""
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
    counts = Counts(record["reference"], 0, 0, record["errors"])
    return f"{describe_rate(counts)} {describe_interval(record['interval'])}"

"""The table of streams by chunk size: a section of RESULTS.md, and what asrkit latency prints."""

from typing import Any, Dict, List, Mapping, Optional, Sequence

from asrkit.score.records import RATES
from asrkit.score.report import table

HEAD = """
## Streams

{method} on {set} by one model, {training}; weights chosen on dev for whole utterances. Latency: the longest
and the mean time from a sample to the end of the window that its chunk needs. Emission delay: how much later
a token is emitted than in whole utterances. RTF: processor seconds per second of audio. Made by
`benchmarks/streams.py`.

"""
Row = Dict[str, Any]  # of asrkit.recognise.latency


def render_streams(record: Mapping[str, Any]) -> str:
    """A section with the table of records/streams.json."""
    about = {name: record[name] for name in ("set", "method", "training")}
    return HEAD.format(**about) + "\n".join(table_of(record["rows"]))


def table_of(rows: Sequence[Row]) -> List[str]:
    """A table in Markdown; seconds, but RTF in processor seconds per second of audio."""
    delays = ("emission delay: mean", "95 %")
    heads = ["chunk", "latency: worst", "mean", *delays, f"{RATES[rows[0]['unit']]} [interval]", "RTF"]
    cells = []
    for row in rows:
        low, high = row["interval"]
        times = [f"{row[name]:.2f}" if row["chunk"] else "" for name in ("chunk", "worst", "mean")]
        times[0] = times[0] or "whole utterances"
        times += [_signed(row[name]) if row["chunk"] else "" for name in ("delay", "delay_95")]
        rate = f"{row['errors']}/{row['reference']} = {row['rate']:.2f} % [{low:.2f}, {high:.2f}]"
        cells.append([*times, rate, format(row["rtf"], ".3f")])
    return table(heads, cells)


def _signed(seconds: Optional[float]) -> str:
    return "" if seconds is None else f"{seconds:+.3f}"

"""The table of formats in which a model was exported: a section of RESULTS.md."""

from typing import Any, Dict, Sequence

HEAD = """
## Formats of the exported model

One training, its test set, greedy decoding, which shows what the format changes. Difference: the largest of
any posterior from PyTorch's. RTF: of the acoustic model, one thread. Made by `benchmarks/export_formats.py`.

| format | MB | difference | WER | RTF |
| --- | --- | --- | --- | --- |
"""


def render_formats(rows: Sequence[Dict[str, Any]]) -> str:
    """A line per format."""
    lines = []
    for row in rows:
        rate = f"{row['errors']}/{row['words']} = {100 * row['errors'] / row['words']:.2f} %"
        size, difference = row["bytes"] / 1e6, row["difference"]
        lines.append(f"| {row['format']} | {size:.2f} | {difference:.1e} | {rate} | {row['rtf']:.4f} |\n")
    return HEAD + "".join(lines)

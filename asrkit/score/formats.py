"""The table of formats in which a model was exported: a section of RESULTS.md."""

from typing import Any, Dict, Sequence

HEAD = """
## Formats of the exported model

One training, its test set, greedy decoding, which shows what the format changes. Difference: the largest of
any posterior from PyTorch's. RTF: of the acoustic model, on one thread. Measured by `benchmarks/export_formats.py`.

| format | MB | difference | WER | RTF |
| --- | --- | --- | --- | --- |
"""


def render_formats(rows: Sequence[Dict[str, Any]]) -> str:
    """A line per format."""
    return HEAD + "".join(
        f"| {row['format']} | {row['bytes'] / 1e6:.2f} | {row['difference']:.1e} | {row['errors']}/{row['words']} "
        f"= {100 * row['errors'] / row['words']:.2f} % | {row['rtf']:.4f} |\n"
        for row in rows
    )

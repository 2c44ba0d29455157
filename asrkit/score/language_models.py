"""The table of neural language models on the same n-best lists: a section of RESULTS.md."""

from typing import Any, Dict, Sequence

from asrkit.score.report import table

HEAD = """
## Language models in rescoring

The same n-best lists of at most 100 hypotheses, one acoustic model{}; scales and word bonus chosen on dev.
Perplexity on dev; of a masked model pseudo-perplexity, which can't be compared with the others. Training and
RTF (of rescoring alone): processor time of one core. Made by `benchmarks/language_models.py`.

"""


def render_language_models(rows: Sequence[Dict[str, Any]]) -> str:
    """A line per model or combination."""
    splits = list(rows[0]["errors"])
    cells = [
        [
            row["model"],
            f"{row['perplexity']:.2f}" if row["perplexity"] else "",
            f"{row['parameters']:,}" if row["parameters"] else "",
            f"{row['training_seconds']:.0f} s" if row["parameters"] else "",
            f"{row['rtf']:.4f}" if row["parameters"] else "",
            *(
                f"{count}/{row['words'][of]} = {100 * count / row['words'][of]:.2f} %"
                for of, count in row["errors"].items()
            ),
            ", ".join(f"{name} {value:g}" for name, value in row["weights"].items()),
        ]
        for row in rows
    ]
    heads = ["model", "perplexity", "parameters", "training", "RTF", *splits, "chosen on dev"]
    acoustic = rows[0].get("acoustic_parameters")  # records before it was written lack it
    head = HEAD.format(f" of {acoustic:,} parameters" if acoustic else "")
    return head + "\n".join(table(heads, cells))

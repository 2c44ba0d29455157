#!/usr/bin/env python3
"""Error rates and wall time of a recipe, run from scratch.

Without --exp in a temporary folder; with it in DIR, which is kept. A DIR with results is only read.
"""

import contextlib
import tempfile
from pathlib import Path
from typing import Dict, Optional, Union

from measure import find_corpus, make_parser, print_figures, run_measurement, run_recipe

from asrkit.errors import UserError
from asrkit.score.records import headlines, read_results
from asrkit.storage.files import read_json, write_json


def run_from_nothing(recipe: str, exp: Path, given: Optional[Path]) -> None:
    """Run all stages; EXP/benchmark.json gets the wall seconds of stage download, and of stages 1 to 9."""
    corpus = find_corpus(recipe, given, exp)
    if (exp / "stages").exists():
        expected, todo = "a finished one, or a folder that isn't there", "remove it, or give another --exp"
        raise UserError("an experiment without results", expected, str(exp), todo)
    first = run_recipe(recipe, exp, corpus, "--stop-stage", "0")
    rest = run_recipe(recipe, exp, corpus)
    write_json(exp / "benchmark.json", {"stage_0_seconds": first, "stages_1_to_9_seconds": rest})


def collect(recipe: str, exp: Path) -> Dict[str, Union[int, float]]:
    """All figures of a finished experiment, by name."""
    figures: Dict[str, Union[int, float]] = {}
    for record in headlines(read_results(exp / "results.json")):
        name = f"{recipe}_{record['set'].replace('-', '_')}_{record['method']}"
        figures[f"{name}_errors"] = record["errors"]
        figures[f"{name}_wer"] = record["rate"]
    if (exp / "benchmark.json").exists():
        seconds = read_json(exp / "benchmark.json")
        figures.update({f"{recipe}_{name}": value for name, value in seconds.items()})
        figures[f"{recipe}_seconds"] = sum(seconds.values())
    else:
        print("no wall seconds: this experiment was not run from nothing by this program")
    return figures


def measure() -> None:
    """Print every figure, the chosen one last."""
    parser = make_parser(__doc__, recipe="yesno", exp="run there and keep it, or read what it holds")
    parser.add_argument("--last", metavar="NAME", help="the figure to print last")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        exp = options.exp or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "exp"
        if not (exp / "results.json").exists():
            run_from_nothing(options.recipe, exp, options.corpus_dir)
        print(f"of commit {read_json(exp / 'cost.json').get('commit')}")
        figures = collect(options.recipe, exp)
    print_figures(figures, options.last)


if __name__ == "__main__":
    run_measurement(measure)

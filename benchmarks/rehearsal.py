#!/usr/bin/env python3
"""The data stages of a recipe on made-up utterances: seconds and the most memory of each share and step."""

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Dict

from measure import make_parser, print_figure, run_measurement

from asrkit.config import load_config
from asrkit.pipeline.cost import count_cores
from asrkit.pipeline.experiment import REPOSITORY, Experiment


def measure() -> None:
    """Print the table, and the chosen figure of the largest share last."""
    parser = make_parser(__doc__)
    parser.add_argument("--recipe", default="librispeech")
    parser.add_argument("--share", nargs="+", type=Fraction, default=[Fraction(1, 16), Fraction(1, 4)])
    parser.add_argument("--last", choices=("seconds", "megabytes"), default="seconds")
    options = parser.parse_args()
    from asrkit.cli.rehearse import Cost, rehearsal_settings, rehearse, table

    recipe = REPOSITORY / "recipes" / options.recipe
    settings = rehearsal_settings(load_config(recipe / "recipe.yaml"))
    costs: Dict[str, Dict[str, Cost]] = {}
    for share in sorted(options.share):
        with tempfile.TemporaryDirectory() as name:
            experiment = Experiment(settings, Path(name), Path(name) / "audio", recipe, count_cores())
            costs[str(share)] = rehearse(experiment, float(share), seed=1)
    print("\n".join(table(costs)))
    steps = list(costs[str(max(options.share))].values())
    figures = {
        "seconds": sum(cost.seconds for cost in steps),
        "megabytes": round(max(cost.peak_bytes for cost in steps) / 1e6),
    }
    for name in [*(name for name in figures if name != options.last), options.last]:
        print_figure(f"{options.recipe}_rehearsal_{name}", figures[name])


if __name__ == "__main__":
    run_measurement(measure)

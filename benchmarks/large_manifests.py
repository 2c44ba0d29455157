#!/usr/bin/env python3
"""Stage manifests on synthetic utterances: processor seconds, or peak megabytes.

No audio is read: its facts are made up, as in rehearsal.py. Making the utterances up isn't counted in the
seconds, but its memory is.
"""

import tempfile
from pathlib import Path
from typing import Dict

from measure import make_parser, print_figures, run_measurement
from rehearsal import Cost, measure_manifests, rehearsal_settings

from asrkit.config import load_config
from asrkit.pipeline.experiment import REPOSITORY, Experiment
from asrkit.pipeline.machine import count_cores


def measure() -> None:
    """Print the cost of each step, and the chosen figure last."""
    parser = make_parser(__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of LibriSpeech's 292,367 utterances")
    parser.add_argument("--last", choices=("seconds", "megabytes"), default="seconds")
    options = parser.parse_args()
    recipe = REPOSITORY / "recipes/librispeech"
    settings = rehearsal_settings(load_config(recipe / "recipe.yaml"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        experiment = Experiment(settings, folder, folder / "audio", recipe, count_cores())
        costs: Dict[str, Cost] = measure_manifests(experiment, options.share, seed=1)
    worked = [cost.processor_seconds for step, cost in costs.items() if step != "making utterances up"]
    megabytes = round(max(cost.peak_bytes for cost in costs.values()) / 1e6)
    print_figures({"seconds": sum(worked), "megabytes": megabytes}, options.last, prefix="manifests_")


if __name__ == "__main__":
    run_measurement(measure)

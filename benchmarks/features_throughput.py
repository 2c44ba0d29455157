#!/usr/bin/env python3
"""Throughput of stage features: seconds of audio per second, speed-perturbed copies included.

The time is measured in the stage, from imported libraries to all files written.
"""

import tempfile
from pathlib import Path

from measure import find_corpus, make_parser, print_figure, run_measurement, run_recipe

from asrkit.config import load_config
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.pipeline.machine import count_cores
from asrkit.storage.files import read_json, read_jsonl


def measure() -> None:
    """Run stages 0 to 2 in a temporary folder."""
    parser = make_parser(__doc__, recipe="an4")
    parser.add_argument("--nj", type=int, default=count_cores(), help="processes")
    options = parser.parse_args()
    corpus_config = load_config(REPOSITORY / "recipes" / options.recipe / "recipe.yaml").corpus
    with tempfile.TemporaryDirectory() as name:
        exp = Path(name) / "exp"
        corpus = find_corpus(options.recipe, options.corpus_dir, exp)
        run_recipe(options.recipe, exp, corpus, "--stop-stage", "2", "--nj", str(options.nj))
        audio = sum(
            cut["duration"]
            for split in dict.fromkeys([corpus_config.train, corpus_config.dev, *corpus_config.tests])
            for cut in read_jsonl(exp / "features" / f"{split}_cuts.jsonl.gz")
        )
        seconds = read_json(exp / "cost.json")["stages"]["features"]["seconds"]
    print(f"{options.nj} processes: {audio:.0f} s of audio in {seconds:.2f} s")
    print_figure("features_audio_seconds_per_second", audio / seconds)


if __name__ == "__main__":
    run_measurement(measure)

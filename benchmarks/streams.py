#!/usr/bin/env python3
"""Recognise a test set as streams by chunk size, as asrkit latency does, and keep the table for RESULTS.md.

EXP was trained with train.chunk, for instance by `benchmarks/scaling_study.py --study streaming --keep DIR`.
The records go to recipes/NAME/records/streams.json.
"""

from typing import Any, Dict

from measure import given_experiment, make_parser, print_figures, run_measurement

from asrkit.config.recipe import TrainConfig
from asrkit.pipeline.experiment import REPOSITORY, open_experiment
from asrkit.pipeline.machine import count_cores
from asrkit.storage.files import read_json, write_json

CHUNKS = (0.16, 0.32, 0.64, 1.28)  # seconds


def describe(train: TrainConfig) -> str:
    """How long, and whether from another model."""
    epochs = f"{train.epochs} epoch{'s' * (train.epochs > 1)}"
    return f"{epochs} of fine-tuning" if train.init_from else epochs


def measure() -> None:
    """Measure, write the records, and print the error rates by chunk size; the last is that of 0.32 s."""
    from asrkit.recognise.latency import measure_latency
    from asrkit.score.streams import table_of

    parser = make_parser(__doc__, recipe="an4", exp="an experiment with train.chunk")
    parser.add_argument("--method", default="1best")
    parser.add_argument("--set-name", help="default: the first test set")
    options = parser.parse_args()
    experiment = open_experiment(given_experiment(options.exp, "trained with train.chunk"), count_cores())
    split = options.set_name or experiment.config.corpus.tests[0]
    rows = measure_latency(experiment, split, options.method, CHUNKS)
    print("\n".join(table_of(rows)))
    cost = read_json(experiment.directory / "cost.json")
    minutes = cost["stages"]["train"]["seconds"] / 60
    record: Dict[str, Any] = {
        "set": split,
        "method": options.method,
        "training": f"{describe(experiment.config.train)}, {minutes:.1f} min on {cost['device']}",
        "commit": cost["commit"],
        "rows": rows,
    }
    write_json(REPOSITORY / "recipes" / options.recipe / "records" / "streams.json", record)
    figures = {f"wer_{row['chunk']:.2f}" if row["chunk"] else "wer_whole": row["rate"] for row in rows}
    print_figures(figures, "wer_0.32", prefix=f"{options.recipe}_streams_")


if __name__ == "__main__":
    run_measurement(measure)

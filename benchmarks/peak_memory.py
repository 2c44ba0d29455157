#!/usr/bin/env python3
"""Peak memory per stage of an experiment in MB, child processes included; the largest last."""

from measure import given_experiment, make_parser, print_figure, run_measurement

from asrkit.storage.files import read_json


def measure() -> None:
    """Read what the runner recorded."""
    options = make_parser(__doc__, exp="a finished experiment").parse_args()
    exp = given_experiment(options.exp, "a finished experiment", "cost.json")
    stages = read_json(exp / "cost.json")["stages"]
    peaks = {name: cost["peak_bytes"] for name, cost in stages.items()}
    for name, peak in peaks.items():
        print(f"{name:10} {peak / 1e6:8.0f} MB")
    print_figure("peak_memory_megabytes", round(max(peaks.values()) / 1e6))


if __name__ == "__main__":
    run_measurement(measure)

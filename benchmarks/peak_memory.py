#!/usr/bin/env python3
"""Peak memory per stage of an experiment in MB, child processes included; the largest last."""

from measure import make_parser, print_figure, run_measurement

from asrkit.errors import UserError
from asrkit.storage.files import read_json


def measure() -> None:
    """Read what the runner recorded."""
    options = make_parser(__doc__, exp="a finished experiment").parse_args()
    if options.exp is None or not (options.exp / "cost.json").exists():
        raise UserError(f"no experiment in {options.exp}", expected="--exp DIR, a finished experiment")
    stages = read_json(options.exp / "cost.json")["stages"]
    peaks = {name: cost["peak_bytes"] for name, cost in stages.items()}
    for name, peak in peaks.items():
        print(f"{name:10} {peak / 1e6:8.0f} MB")
    print_figure("peak_memory_megabytes", round(max(peaks.values()) / 1e6))


if __name__ == "__main__":
    run_measurement(measure)

#!/usr/bin/env python3
"""Lines of the project: asrkit, local, utils and the recipes' run.sh, blank lines and comments included."""

from measure import make_parser, print_figure, run_measurement

from asrkit.pipeline.experiment import REPOSITORY

PATTERNS = ("asrkit/**/*.py", "local/*.py", "utils/*.sh", "recipes/*/run.sh")


def measure() -> None:
    """Count lines by part."""
    make_parser(__doc__).parse_args()
    total = 0
    for pattern in PATTERNS:
        lines = sum(len(file.read_bytes().splitlines()) for file in REPOSITORY.glob(pattern))
        print(f"{pattern:18} {lines:6}")
        total += lines
    print_figure("lines_of_code", total)


if __name__ == "__main__":
    run_measurement(measure)

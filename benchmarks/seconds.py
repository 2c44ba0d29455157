#!/usr/bin/env python3
"""Wall seconds of a command: seconds.py NAME COMMAND..."""

import argparse
import subprocess
import time

from measure import make_parser, print_figure, run_measurement

from asrkit.errors import UserError


def measure() -> None:
    """Run the command from the project's folder."""
    parser = make_parser(__doc__)
    parser.add_argument("name")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.command:
        raise UserError("no command", expected="seconds.py NAME COMMAND...")
    begun = time.perf_counter()
    status = subprocess.run(options.command, stdin=subprocess.DEVNULL).returncode
    seconds = time.perf_counter() - begun
    if status:
        raise UserError(f"{' '.join(options.command)} ended with status {status} after {seconds:.0f} s")
    print_figure(f"{options.name}_seconds", seconds)


if __name__ == "__main__":
    run_measurement(measure)

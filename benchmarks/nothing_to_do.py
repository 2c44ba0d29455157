#!/usr/bin/env python3
"""Seconds that run.sh takes if every stage is fresh: median of some runs.

Without --exp, the stages up to --stop-stage are first run in a temporary folder.
"""

import contextlib
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from measure import find_corpus, make_parser, print_figure, recipe_command, run_measurement, run_recipe

from asrkit.errors import UserError


def measure() -> None:
    """Make sure that nothing would run, then time runs of nothing."""
    parser = make_parser(__doc__, recipe="an4", exp="an experiment that is fresh")
    parser.add_argument("--stop-stage", metavar="N", help="default: 9 with --exp, else 2")
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        exp = options.exp or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "exp"
        corpus = find_corpus(options.recipe, options.corpus_dir, exp)
        stop = ["--stop-stage", options.stop_stage or ("9" if options.exp else "2")]
        if not options.exp:
            run_recipe(options.recipe, exp, corpus, *stop)
        command = recipe_command(options.recipe, exp, corpus, *stop)
        plan = subprocess.run([*command, "--dry-run"], check=True, stdout=subprocess.PIPE, text=True).stdout
        stale = [line for line in plan.splitlines() if not line.startswith("wouldn't run")]
        if stale:
            raise UserError(stale[0], expected="an experiment with nothing to do", where=str(exp))
        times = []
        for _ in range(options.repetitions):
            begun = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - begun)
    print(f"{len(plan.splitlines())} stages fresh; from {min(times):.2f} to {max(times):.2f} s")
    print_figure("nothing_to_do_seconds", statistics.median(times), digits=3)


if __name__ == "__main__":
    run_measurement(measure)

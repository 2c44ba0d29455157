#!/usr/bin/env python3
"""float32 matrix products in GFLOP/s: with torch's defaults, then with asrkit's settings."""

import os
import subprocess
import sys

from measure import make_parser, print_figure, run_measurement

from asrkit.pipeline.machine import count_cores, prepare_processor

PROGRAM = """
import sys, time, torch
size, threads = map(int, sys.argv[1:])
torch.set_num_threads(threads)
a, b = torch.randn(size, size), torch.randn(size, size)
a @ b
times = []
end = time.perf_counter() + 3
while time.perf_counter() < end:
    begun = time.perf_counter()
    a @ b
    times.append(time.perf_counter() - begun)
print(2 * size**3 / min(times) / 1e9)
"""
SET_BY_ASRKIT = ("MKL_DEBUG_CPU_TYPE", "GOMP_SPINCOUNT")


def measure() -> None:
    """The best product of 3 s in a process of its own: other work only ever adds time."""
    parser = make_parser(__doc__)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=count_cores())
    options = parser.parse_args()
    for name in SET_BY_ASRKIT:
        os.environ.pop(name, None)
    for figure in ("matmul_gflops_unprepared", "matmul_gflops"):
        command = [sys.executable, "-c", PROGRAM, str(options.size), str(options.threads)]
        print_figure(figure, float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
        prepare_processor()


if __name__ == "__main__":
    run_measurement(measure)

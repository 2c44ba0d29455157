#!/usr/bin/env python3
"""Seconds and memory to write a graph of LibriSpeech's size as OpenFst; its arcs are made up."""

import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Dict, List

import numpy as np
from measure import make_parser, print_figure, run_measurement

from asrkit.pipeline.parallel import run_parallel
from asrkit.recognise.openfst import write_graph

TOKENS, WORDS = 500, 86_000


def measure() -> None:
    """Write it in a process of its own; its peak includes the arcs that are given."""
    parser = make_parser(__doc__)
    parser.add_argument("--arcs", type=int, default=24_000_000)
    parser.add_argument("--states", type=int, default=5_000_000)
    options = parser.parse_args()
    random = np.random.default_rng(1)
    arcs = np.empty((options.arcs, 4), dtype=np.int32)
    arcs[:, 0] = np.sort(random.integers(0, options.states, options.arcs, dtype=np.int32))
    arcs[:, 1] = random.integers(0, options.states, options.arcs, dtype=np.int32)
    arcs[:, 2] = random.integers(0, TOKENS, options.arcs, dtype=np.int32)
    arcs[:, 3] = (-random.random(options.arcs, dtype=np.float32)).view(np.int32)
    words = random.integers(0, WORDS, options.arcs, dtype=np.int32)
    arcs[-1, 1:3], words[-1] = (options.states, -1), -1

    def write(_: int) -> Dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            write_graph(Path(folder) / "HLG.fst", arcs, words, 0.7, 1.0)
            seconds = time.perf_counter() - begun
            size = os.path.getsize(Path(folder) / "HLG.fst")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"seconds": seconds, "megabytes": size / 1e6, "peak": peak / 1e3}

    results: List[Dict[str, float]] = []
    run_parallel(write, 1, 1, lambda _, result: results.append(result))
    found = results[0]
    given = (arcs.nbytes + words.nbytes) / 1e6
    print(f"{options.arcs:,} arcs, a file of {found['megabytes']:.0f} MB, of arrays of {given:.0f} MB")
    print_figure("export_graph_peak_megabytes", round(found["peak"]))
    print_figure("export_graph_seconds", found["seconds"], digits=3)


if __name__ == "__main__":
    run_measurement(measure)

"""A single piece of run_parallel ran in the calling process. There k2 and torch started their threads, which
don't survive a fork, so the processes forked for the next, larger work waited for ever: decoding hung
when dev was one shard and a test set two."""

import os
from typing import List

from asrkit.pipeline.parallel import run_parallel


def test_even_one_piece_runs_in_a_process_of_its_own() -> None:
    processes: List[int] = []
    run_parallel(lambda index: os.getpid(), 1, 1, lambda index, process: processes.append(process))
    assert len(processes) == 1
    assert processes[0] != os.getpid()

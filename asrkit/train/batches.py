"""Batches of utterances, computed from the seed and the epoch alone."""

from typing import List, Sequence

import numpy as np


def plan_batches(
    durations: Sequence[float], *, seed: int, epoch: int, batch_duration: float, buckets: int
) -> List[List[int]]:
    """Bucketed batches: utterances of similar duration, shuffled within and between batches.

    The longest duration of a batch times its size is at most `batch_duration` seconds; a longer utterance
    gets a batch of its own. The same arguments give the same batches, so training can resume at any step
    without replaying the earlier ones.
    """
    random = np.random.default_rng([seed, epoch])
    seconds = np.asarray(durations, dtype=np.float64)
    order = np.argsort(seconds, kind="stable")
    edges = np.searchsorted(np.cumsum(seconds[order]), seconds.sum() * np.arange(1, buckets) / buckets)
    batches: List[List[int]] = []
    longest = 0.0
    for index in (index for bucket in np.split(order, edges) for index in random.permutation(bucket)):
        longest = max(longest, seconds[index])
        if not batches or longest * (len(batches[-1]) + 1) > batch_duration:
            batches.append([])
            longest = float(seconds[index])
        batches[-1].append(int(index))
    return [batches[index] for index in random.permutation(len(batches))]

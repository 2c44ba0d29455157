"""Which utterances make up each batch, computed from the seed and the epoch alone."""

from typing import List, Sequence

import numpy as np


def plan_batches(
    durations: Sequence[float], *, seed: int, epoch: int, batch_duration: float, buckets: int
) -> List[List[int]]:
    """Group utterances of similar duration into batches, shuffled within and among them.

    A batch's longest duration times its size stays within `batch_duration` (seconds), except that one
    longer utterance makes a batch of its own. The same arguments give the same batches, so that
    training resumes at any step without replaying the earlier ones.
    """
    random = np.random.default_rng([seed, epoch])
    seconds = np.asarray(durations, dtype=np.float64)
    order = np.argsort(seconds, kind="stable")
    edges = np.searchsorted(np.cumsum(seconds[order]), seconds.sum() * np.arange(1, buckets) / buckets)
    batches: List[List[int]] = []
    batch: List[int] = []
    longest = 0.0
    for bucket in np.split(order, edges):
        for index in random.permutation(bucket):
            longest_then = max(longest, seconds[index])
            if batch and longest_then * (len(batch) + 1) > batch_duration:
                batches.append(batch)
                batch, longest_then = [], float(seconds[index])
            batch.append(int(index))
            longest = longest_then
    if batch:
        batches.append(batch)
    return [batches[index] for index in random.permutation(len(batches))]

"""Confidence interval of an error rate."""

from typing import Sequence, Tuple

import numpy as np

SAMPLES_AT_ONCE = 4_000_000  # drawn indices held in memory: 32 MB


def bootstrap_interval(
    errors: Sequence[int], lengths: Sequence[int], samples: int, confidence: float = 0.95, seed: int = 0
) -> Tuple[float, float]:
    """Percentile bootstrap interval of an error rate, in percent.

    `errors` and `lengths` hold an utterance's error count and reference length. Utterances are
    drawn with replacement, because errors inside one are not independent (Bisani and Ney 2004,
    "Bootstrap estimates for confidence intervals in ASR performance evaluation"). Percentiles
    rather than a multiple of the deviation: few errors give a skewed distribution, never below 0.
    The same input gives the same interval.

    Sums over each speaker's utterances in place of utterances give the interval by speaker, for
    errors of one speaker are not independent either. What one system's errors exceed another's by
    gives the interval of the difference of their rates (section 4 there).
    """
    error_counts, reference_lengths = np.asarray(errors), np.asarray(lengths)
    utterances = len(error_counts)
    if reference_lengths.sum() == 0:
        raise ValueError("no reference token: an error rate is not defined")
    generator = np.random.default_rng(seed)
    rates = np.empty(samples)
    step = max(1, SAMPLES_AT_ONCE // utterances)
    for start in range(0, samples, step):
        stop = min(start + step, samples)
        drawn = generator.integers(utterances, size=(stop - start, utterances))
        totals = reference_lengths[drawn].sum(axis=1)
        # A draw of nothing but empty references has no rate of its own: errors over 1 stand for it.
        rates[start:stop] = 100.0 * error_counts[drawn].sum(axis=1) / np.maximum(totals, 1)
    low, high = np.quantile(rates, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)

"""Score transcripts in one unit: error counts with bootstrap confidence intervals."""

import dataclasses
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from asrkit.score.alignment import Alignment, Counts, align, count
from asrkit.score.normalisation import Tokenise
from asrkit.score.transcripts import Transcript

MIN_SPEAKERS = 5  # fewer are too few to draw a bootstrap sample of speakers from
SAMPLES_AT_ONCE = 4_000_000  # drawn indices held in memory: 32 MB


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Transcripts of a set, aligned and counted in one unit."""

    unit: str  # "word", "character" or "unit"
    transcripts: List[Transcript]
    alignments: List[Alignment]
    counts: List[Counts]  # per utterance
    total: Counts
    interval: Tuple[float, float]  # percent
    interval_by_speaker: Optional[Tuple[float, float]]  # percent; None with fewer than MIN_SPEAKERS
    confidence: float  # of the intervals
    groups: Dict[str, Tuple[Counts, Tuple[float, float]]]  # of speakers, with the interval by utterance


def evaluate(
    transcripts: Sequence[Transcript], unit: str, tokenise: Tokenise, samples: int, confidence: float = 0.95
) -> Evaluation:
    """Align and count; `samples` bootstrap draws give the intervals by utterance and by speaker."""
    alignments = [align(tokenise(each.reference), tokenise(each.hypothesis)) for each in transcripts]
    counts = [count(alignment) for alignment in alignments]
    by_speaker = list(sum_groups([each.speaker for each in transcripts], counts).values())

    def interval(of: Sequence[Counts]) -> Tuple[float, float]:
        errors, lengths = [each.errors for each in of], [each.reference for each in of]
        return bootstrap_interval(errors, lengths, samples, confidence)

    members: Dict[str, List[Counts]] = {}
    for transcript, each in zip(transcripts, counts):
        for group in transcript.groups:
            members.setdefault(group, []).append(each)
    return Evaluation(
        unit=unit,
        transcripts=list(transcripts),
        alignments=alignments,
        counts=counts,
        total=sum(counts, Counts()),
        interval=interval(counts),
        interval_by_speaker=interval(by_speaker) if len(by_speaker) >= MIN_SPEAKERS else None,
        confidence=confidence,
        groups={
            name: (sum(of, Counts()), interval(of))
            for name, of in sorted(members.items())
            if any(each.reference for each in of)
        },
    )


def sum_groups(names: Sequence[str], counts: Sequence[Counts]) -> Dict[str, Counts]:
    """Sum the counts per group; `names` holds the group (such as the speaker) of each utterance."""
    totals: Dict[str, Counts] = {}
    for name, each in zip(names, counts):
        totals[name] = totals.get(name, Counts()) + each
    return totals


def bootstrap_interval(
    errors: Sequence[int], lengths: Sequence[int], samples: int, confidence: float = 0.95, seed: int = 0
) -> Tuple[float, float]:
    """Percentile bootstrap interval of an error rate, in percent; deterministic for a seed.

    `errors` and `lengths` hold the error count and reference length per utterance. Utterances are
    drawn with replacement, because errors within one utterance are not independent (Bisani and Ney
    2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation"). Percentiles
    are used instead of a multiple of the standard deviation: with few errors the distribution is
    skewed, and a rate is never below 0.

    Sums per speaker instead of per utterance give the interval by speaker. Differences of two
    systems' error counts give the interval of the difference of their rates (section 4 there).
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
        # A draw of empty references only has no rate: divide by 1 instead of 0.
        rates[start:stop] = 100.0 * error_counts[drawn].sum(axis=1) / np.maximum(totals, 1)
    low, high = np.quantile(rates, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)

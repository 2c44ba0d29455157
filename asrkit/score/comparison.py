"""Two systems on one test set: is their difference more than chance?"""

import dataclasses
import math
from typing import List, Optional, Sequence, Tuple

import numpy as np

from asrkit.errors import UserError
from asrkit.score.alignment import Counts
from asrkit.score.evaluation import FEWEST_SPEAKERS, Evaluation, sum_groups
from asrkit.score.interval import bootstrap_interval
from asrkit.score.records import RATES, describe_interval, describe_rate
from asrkit.score.transcripts import Transcript


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two systems, a and b; a difference is b less a, so that below zero b is better."""

    unit: str
    a: Counts
    b: Counts
    a_better: int  # utterances with fewer errors of a
    b_better: int
    equal: int
    difference: float  # of the rates, in percent of the reference
    interval: Tuple[float, float]
    interval_by_speaker: Optional[Tuple[float, float]]  # None: of too few speakers
    p_value: float
    confidence: float  # of the intervals


def compare(a: Evaluation, b: Evaluation, samples: int) -> Comparison:
    """Compare two evaluations of the same utterances in the same unit, utterance by utterance.

    The intervals are of a paired bootstrap: each draw takes the same utterances (or speakers) of
    both (Bisani and Ney 2004, section 4). The p-value is that of matched_pairs. Raises UserError
    unless ids and references agree.
    """
    refuse_unpaired(a.transcripts, b.transcripts)
    differences = [second.errors - first.errors for first, second in zip(a.counts, b.counts)]
    speakers = [transcript.speaker for transcript in a.transcripts]
    of_a, of_b = (sum_groups(speakers, each.counts) for each in (a, b))
    by_speaker = None
    if len(of_a) >= FEWEST_SPEAKERS:
        by_speaker = bootstrap_interval(
            [of_b[name].errors - of_a[name].errors for name in of_a],
            [counts.reference for counts in of_a.values()],
            samples,
            a.confidence,
        )
    return Comparison(
        unit=a.unit,
        a=a.total,
        b=b.total,
        a_better=sum(difference > 0 for difference in differences),
        b_better=sum(difference < 0 for difference in differences),
        equal=differences.count(0),
        difference=100.0 * sum(differences) / a.total.reference,
        interval=bootstrap_interval(
            differences, [counts.reference for counts in a.counts], samples, a.confidence
        ),
        interval_by_speaker=by_speaker,
        p_value=matched_pairs(differences),
        confidence=a.confidence,
    )


def matched_pairs(differences: Sequence[int]) -> float:
    """Two-sided p-value of the mean of differences between errors of two systems being zero.

    The matched-pairs test of Gillick and Cox 1989 ("Some statistical issues in the comparison of
    speech recognition algorithms"), with utterances for segments; NIST's MAPSSWE cuts them finer.
    Its normal approximation wants some tens of utterances that differ.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not values.any():
        return 1.0
    deviation = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return math.erfc(abs(values.mean()) / deviation / math.sqrt(2)) if deviation else 0.0


def refuse_unpaired(a: Sequence[Transcript], b: Sequence[Transcript]) -> None:
    """Raise UserError unless both hold the same ids with the same references."""
    references = [{each.id: each.reference for each in transcripts} for transcripts in (a, b)]
    different = sorted(
        key for key in references[0].keys() & references[1].keys() if references[0][key] != references[1][key]
    )
    for what, keys in (
        ("only in A", sorted(references[0].keys() - references[1].keys())),
        ("only in B", sorted(references[1].keys() - references[0].keys())),
        ("with another reference", different),
    ):
        if keys:
            raise UserError(
                f"the sets differ: {len(keys)} utterances {what}: {', '.join(keys[:5])}",
                expected="the same utterances with the same references in both experiments",
                where="asrkit compare",
                todo="compare experiments on one corpus, scored with the same score.normalise",
            )


def comparison_lines(comparison: Comparison) -> List[str]:
    """What `asrkit compare` prints of a set and method."""
    rate, by_speaker = RATES[comparison.unit], comparison.interval_by_speaker
    errors = comparison.b.errors - comparison.a.errors
    utterances = comparison.a_better + comparison.b_better + comparison.equal
    return [
        f"A       {rate} {describe_rate(comparison.a)}",
        f"B       {rate} {describe_rate(comparison.b)}",
        f"B - A   {errors:+d} errors = {comparison.difference:+.2f} % of the reference, "
        f"{100 * comparison.confidence:g} % interval {describe_interval(comparison.interval)}"
        + (f", by speaker {describe_interval(by_speaker)}" if by_speaker else ""),
        f"utterances {utterances}: A better in {comparison.a_better}, B better in {comparison.b_better}, "
        f"equal in {comparison.equal}",
        f"p = {comparison.p_value:.2g} (matched pairs of utterances, two-sided; Gillick and Cox 1989)",
    ]

"""Two systems on one test set: is the difference of their error rates significant?"""

import dataclasses
import math
from typing import List, Optional, Sequence, Tuple

import numpy as np

from asrkit.errors import UserError
from asrkit.score.evaluation import MIN_SPEAKERS, Evaluation, bootstrap_interval, sum_groups
from asrkit.score.records import RATES, describe_interval
from asrkit.score.transcripts import Transcript


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Systems A and B on the same utterances; a difference is B - A, so below zero B is better."""

    a: Evaluation
    b: Evaluation
    differences: List[int]  # of the errors, per utterance
    interval: Tuple[float, float]  # of the difference of the error rates, in percent
    interval_by_speaker: Optional[Tuple[float, float]]  # None with fewer than MIN_SPEAKERS
    p_value: float

    @property
    def difference(self) -> float:
        """Difference of the error rates, in percent of the reference."""
        return 100.0 * sum(self.differences) / self.a.total.reference


def compare(a: Evaluation, b: Evaluation, samples: int) -> Comparison:
    """Compare two evaluations of the same utterances in the same unit.

    The intervals are from a paired bootstrap: each draw takes the same utterances (or speakers)
    from both systems (Bisani and Ney 2004, section 4). The p-value is from matched_pairs. Raises
    UserError unless ids and references agree.
    """
    refuse_unpaired(a.transcripts, b.transcripts)
    differences = [second.errors - first.errors for first, second in zip(a.counts, b.counts)]
    lengths = [counts.reference for counts in a.counts]
    interval = bootstrap_interval(differences, lengths, samples, a.confidence)
    speakers = [transcript.speaker for transcript in a.transcripts]
    of_a, of_b = (sum_groups(speakers, each.counts) for each in (a, b))
    by_speaker = None
    if len(of_a) >= MIN_SPEAKERS:
        by_speaker = bootstrap_interval(
            [of_b[name].errors - of_a[name].errors for name in of_a],
            [counts.reference for counts in of_a.values()],
            samples,
            a.confidence,
        )
    return Comparison(a, b, differences, interval, by_speaker, matched_pairs(differences))


def matched_pairs(differences: Sequence[int]) -> float:
    """Two-sided p-value for a mean difference of zero between the errors of two systems.

    The matched-pairs test of Gillick and Cox 1989 ("Some statistical issues in the comparison of
    speech recognition algorithms") with utterances as segments; NIST's MAPSSWE uses shorter ones.
    Its normal approximation needs some tens of utterances that differ. If all of them differ by the same
    number of errors, the p-value is that of the sign test.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not values.any():
        return 1.0
    differing = values[values != 0]
    if differing.min() == differing.max():
        return float(2.0 ** (1 - len(differing)))
    deviation = values.std(ddof=1) / math.sqrt(len(values))
    return math.erfc(abs(values.mean()) / deviation / math.sqrt(2))


def refuse_unpaired(a: Sequence[Transcript], b: Sequence[Transcript]) -> None:
    """Raise UserError unless both hold the same ids with the same references."""
    of_a, of_b = ({each.id: each.reference for each in transcripts} for transcripts in (a, b))
    for where, keys in (
        ("only in A", of_a.keys() - of_b.keys()),
        ("only in B", of_b.keys() - of_a.keys()),
        ("with another reference", {key for key in of_a.keys() & of_b.keys() if of_a[key] != of_b[key]}),
    ):
        if keys:
            raise UserError(
                f"the sets differ: {len(keys)} utterances {where}: {', '.join(sorted(keys)[:5])}",
                "the same utterances with the same references in both experiments",
                "asrkit compare",
                "compare experiments on one corpus, scored with the same score.normalise",
            )


def comparison_lines(found: Comparison) -> List[str]:
    """The text that `asrkit compare` prints per set and method."""
    rate, by_speaker, differences = RATES[found.a.unit], found.interval_by_speaker, found.differences
    a_better, b_better = sum(each > 0 for each in differences), sum(each < 0 for each in differences)
    return [
        f"A       {rate} {found.a.total}",
        f"B       {rate} {found.b.total}",
        f"B - A   {sum(differences):+d} errors = {found.difference:+.2f} % of the reference, "
        f"{100 * found.a.confidence:g} % interval {describe_interval(found.interval)}"
        + (f", by speaker {describe_interval(by_speaker)}" if by_speaker else ""),
        f"utterances {len(differences)}: A better in {a_better}, B better in {b_better}, "
        f"equal in {differences.count(0)}",
        f"p = {found.p_value:.2g} (matched pairs of utterances, two-sided; Gillick and Cox 1989)",
    ]

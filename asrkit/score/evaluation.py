"""Score a set of transcripts in one unit, and put the result into a record."""

import dataclasses
from typing import Dict, List, Optional, Sequence, Tuple

from asrkit.score.alignment import Alignment, Counts, align, count
from asrkit.score.interval import bootstrap_interval
from asrkit.score.normalisation import Tokenise
from asrkit.score.transcripts import Transcript

FEWEST_SPEAKERS = 5  # an interval by speaker of fewer says more of them than of others


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Transcripts of one set aligned in one unit."""

    unit: str  # "word", "character" or "unit"
    transcripts: List[Transcript]
    alignments: List[Alignment]
    counts: List[Counts]  # of each utterance
    total: Counts
    interval: Tuple[float, float]  # percent
    interval_by_speaker: Optional[Tuple[float, float]]  # percent; None: of too few speakers
    confidence: float  # of the intervals

    def speakers(self) -> Dict[str, Counts]:
        """Counts of each speaker, the highest error rate first."""
        totals = sum_groups([transcript.speaker for transcript in self.transcripts], self.counts)
        return dict(sorted(totals.items(), key=lambda item: (-item[1].rate, item[0])))


def evaluate(
    transcripts: Sequence[Transcript], unit: str, tokenise: Tokenise, samples: int, confidence: float = 0.95
) -> Evaluation:
    """Align, count, and find the bootstrap intervals by utterance and by speaker."""
    alignments = [
        align(tokenise(transcript.reference), tokenise(transcript.hypothesis)) for transcript in transcripts
    ]
    counts = [count(alignment) for alignment in alignments]
    of_speakers = list(sum_groups([transcript.speaker for transcript in transcripts], counts).values())

    def interval(of: Sequence[Counts]) -> Tuple[float, float]:
        errors, lengths = [each.errors for each in of], [each.reference for each in of]
        return bootstrap_interval(errors, lengths, samples, confidence)

    return Evaluation(
        unit=unit,
        transcripts=list(transcripts),
        alignments=alignments,
        counts=counts,
        total=sum(counts, Counts()),
        interval=interval(counts),
        interval_by_speaker=interval(of_speakers) if len(of_speakers) >= FEWEST_SPEAKERS else None,
        confidence=confidence,
    )


def sum_groups(names: Sequence[str], counts: Sequence[Counts]) -> Dict[str, Counts]:
    """Counts of each group together; `names` says which group (speaker) each utterance is of."""
    totals: Dict[str, Counts] = {}
    for name, each in zip(names, counts):
        totals[name] = totals.get(name, Counts()) + each
    return totals

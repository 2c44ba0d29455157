"""Score a set of transcripts in one unit, and put the result into a record."""

import dataclasses
from typing import Any, Dict, List, Sequence, Tuple

from asrkit.score.alignment import Alignment, Counts, align, count, tokens
from asrkit.score.interval import bootstrap_interval
from asrkit.score.transcripts import Transcript


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Transcripts of one set aligned in one unit."""

    unit: str  # "word" or "character"
    transcripts: List[Transcript]
    alignments: List[Alignment]
    counts: List[Counts]  # of each utterance
    total: Counts
    interval: Tuple[float, float]  # percent
    confidence: float  # of the interval

    def speakers(self) -> Dict[str, Counts]:
        """Counts of each speaker, the highest error rate first."""
        totals: Dict[str, Counts] = {}
        for transcript, counts in zip(self.transcripts, self.counts):
            totals[transcript.speaker] = totals.get(transcript.speaker, Counts()) + counts
        return dict(sorted(totals.items(), key=lambda item: (-item[1].rate, item[0])))


def evaluate(
    transcripts: Sequence[Transcript], unit: str, samples: int, confidence: float = 0.95
) -> Evaluation:
    """Align, count, and find the bootstrap interval by utterance."""
    alignments = [
        align(tokens(transcript.reference, unit), tokens(transcript.hypothesis, unit))
        for transcript in transcripts
    ]
    counts = [count(alignment) for alignment in alignments]
    interval = bootstrap_interval(
        [each.errors for each in counts], [each.reference for each in counts], samples, confidence
    )
    total = sum(counts, Counts())
    return Evaluation(unit, list(transcripts), alignments, counts, total, interval, confidence)


def make_record(
    evaluation: Evaluation, name: str, role: str, method: str, timing: Dict[str, Any], lost: int
) -> Dict[str, Any]:
    """An object of results.json.

    `role` is "dev" for the set that scales and beams were chosen on, else "test"; `timing` is
    decode/{split}/timing_{method}.json; `lost` is the number of utterances that are in no count.
    `rejected` in the record are those never decoded, counted as deletions; `speakers` holds
    errors and reference length of each.
    """
    total, audio = evaluation.total, float(timing["audio_seconds"])
    return {
        "set": name,
        "role": role,
        "method": method,
        "unit": evaluation.unit,
        "errors": total.errors,
        "reference": total.reference,
        "insertions": total.insertions,
        "deletions": total.deletions,
        "substitutions": total.substitutions,
        "rate": total.rate,
        "interval": list(evaluation.interval),
        "confidence": evaluation.confidence,
        "rtf": float(timing["seconds"]) / audio if audio > 0 else None,
        "utterances": len(evaluation.transcripts),
        "rejected": sum(bool(transcript.rejected) for transcript in evaluation.transcripts),
        "lost": lost,
        "fallbacks": timing["fallbacks"],
        "settings": timing["settings"],
        "speakers": {
            speaker: [counts.errors, counts.reference] for speaker, counts in evaluation.speakers().items()
        },
    }

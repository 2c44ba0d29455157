"""Errors by group of utterances, and which tokens were confused: where an error rate comes from."""

import math
from typing import Any, Dict, List, Mapping, Optional

from asrkit.score.alignment import Counts, confusions, error_kind
from asrkit.score.evaluation import Evaluation, sum_groups

SNR_STEP = 5  # dB, the width of a bin of signal-to-noise ratio
KINDS = {"substitutions": "S", "deletions": "D", "insertions": "I"}


def length_bin(length: int) -> str:
    """The bin of a reference of `length` tokens; each bin is twice as wide as the one before it."""
    if length <= 4:
        return "1-4" if length else "0"
    top = 1 << (length - 1).bit_length()
    return f"{top // 2 + 1}-{top}"


def snr_bin(decibels: float) -> str:
    """The bin of a signal-to-noise ratio: from a multiple of 5 dB up to the next, which is left out."""
    low = SNR_STEP * math.floor(decibels / SNR_STEP)
    return f"{low} to {low + SNR_STEP} dB"


def break_down(evaluation: Evaluation, shown: Optional[int] = None) -> Dict[str, Any]:
    """Groups {name: [errors, reference tokens]} and confusions [[reference, hypothesis, count]].

    `speakers` with the highest rate first; `lengths` from the shortest bin; `snr` from the lowest,
    only of utterances whose signal-to-noise ratio is known. `confusions` are the most frequent
    first, at most `shown` of each kind; "" stands for nothing.
    """
    by_length = sorted(evaluation.counts, key=lambda counts: counts.reference)
    known = [
        (each.snr, counts)
        for each, counts in zip(evaluation.transcripts, evaluation.counts)
        if each.snr is not None
    ]
    known.sort(key=lambda pair: pair[0])
    lengths = sum_groups([length_bin(counts.reference) for counts in by_length], by_length)
    ratios = sum_groups([snr_bin(snr) for snr, _ in known], [counts for _, counts in known])
    confused = sorted(confusions(evaluation.alignments).items(), key=lambda item: (-item[1], item[0]))
    return {
        "speakers": _as_lists(evaluation.speakers()),
        "lengths": _as_lists(lengths),
        "snr": _as_lists(ratios),
        "confusions": {
            name: [[*pair, number] for pair, number in confused if error_kind(*pair) == kind][:shown]
            for name, kind in KINDS.items()
        },
    }


def _as_lists(groups: Mapping[str, Counts]) -> Dict[str, List[int]]:
    return {name: [counts.errors, counts.reference] for name, counts in groups.items()}

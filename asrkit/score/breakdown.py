"""Errors by speaker, group of speakers, length and SNR; confusions; calibration of confidences."""

import collections
import math
from typing import Any, Dict, List, Mapping, Optional, Sequence

from asrkit.score.alignment import Counts, error_kind
from asrkit.score.evaluation import Evaluation, sum_groups

SNR_STEP = 5  # dB, the width of a bin of the signal-to-noise ratio
KINDS = {"substitutions": "S", "deletions": "D", "insertions": "I"}
BINS = 10  # of confidences, of equal width


def length_bin(length: int) -> str:
    """Bin of a reference of `length` tokens; each bin is twice as wide as the one before it."""
    if length <= 4:
        return "1-4" if length else "0"
    top = 1 << (length - 1).bit_length()
    return f"{top // 2 + 1}-{top}"


def snr_bin(decibels: float) -> str:
    """Bin of a signal-to-noise ratio: from a multiple of 5 dB up to the next, exclusive."""
    low = SNR_STEP * math.floor(decibels / SNR_STEP)
    return f"{low} to {low + SNR_STEP} dB"


def break_down(evaluation: Evaluation, shown: Optional[int] = None) -> Dict[str, Any]:
    """Groups {name: [errors, reference tokens]} and confusions [[reference, hypothesis, count]].

    `groups`: of speakers, with the interval's ends. `speakers`: highest error rate first. `lengths`:
    shortest bin first. `snr`: lowest bin first, of the utterances with a known signal-to-noise ratio.
    `confusions`: most frequent first, at most `shown` of each kind; "" stands for the missing token of an
    insertion or a deletion.
    """
    by_length = sorted(evaluation.counts, key=lambda counts: counts.reference)
    pairs = zip((each.snr for each in evaluation.transcripts), evaluation.counts)
    known = sorted(((snr, counts) for snr, counts in pairs if snr is not None), key=lambda pair: pair[0])
    lengths = sum_groups([length_bin(counts.reference) for counts in by_length], by_length)
    ratios = sum_groups([snr_bin(snr) for snr, _ in known], [counts for _, counts in known])
    errors = collections.Counter(pair for each in evaluation.alignments for pair in each if error_kind(*pair))
    confused = sorted(errors.items(), key=lambda item: (-item[1], item[0]))
    speakers = sum_groups([each.speaker for each in evaluation.transcripts], evaluation.counts)
    worst_first = sorted(speakers.items(), key=lambda item: (-item[1].rate, item[0]))
    return {
        "speakers": _as_lists(dict(worst_first)),
        "groups": {
            name: [of.errors, of.reference, *interval] for name, (of, interval) in evaluation.groups.items()
        },
        "lengths": _as_lists(lengths),
        "snr": _as_lists(ratios),
        "confusions": {
            name: [[*pair, number] for pair, number in confused if error_kind(*pair) == kind][:shown]
            for name, kind in KINDS.items()
        },
    }


def _as_lists(groups: Mapping[str, Counts]) -> Dict[str, List[int]]:
    return {name: [counts.errors, counts.reference] for name, counts in groups.items()}


def calibrate(evaluation: Evaluation) -> Optional[Dict[str, Any]]:
    """Calibration of the word confidences of a word-level evaluation; None without confidences."""
    confidences: List[float] = []
    correct: List[bool] = []
    for transcript, alignment in zip(evaluation.transcripts, evaluation.alignments):
        if transcript.timed is not None:
            confidences += [confidence for _, _, confidence in transcript.timed]
            correct += [reference == hypothesis for reference, hypothesis in alignment if hypothesis]
    return measure_calibration(confidences, correct) if confidences else None


def measure_calibration(confidences: Sequence[float], correct: Sequence[bool]) -> Dict[str, Any]:
    """Expected calibration error (Guo et al. 2017, On Calibration of Modern Neural Networks).

    `bins` holds [words, mean confidence, fraction correct] per tenth of the confidences, from 0 up;
    `expected_error` is the absolute difference of the last two, averaged over the `words`.
    """
    members: List[List[int]] = [[] for _ in range(BINS)]
    for index, confidence in enumerate(confidences):
        members[min(int(confidence * BINS), BINS - 1)].append(index)
    bins = []
    for indices in members:
        number = max(1, len(indices))
        mean = sum(confidences[index] for index in indices) / number
        bins.append([len(indices), mean, sum(correct[index] for index in indices) / number])
    distance = sum(number * abs(mean - share) for number, mean, share in bins)
    return {"words": len(confidences), "expected_error": distance / len(confidences), "bins": bins}


def reliability_table(calibration: Dict[str, Any]) -> List[str]:
    """A title, and a line per bin of confidences that has words."""
    error, words = calibration["expected_error"], calibration["words"]
    return [
        f"Words by confidence, expected calibration error {error:.3f} ({words} words)",
        *(
            f"  {index / BINS:.1f}-{(index + 1) / BINS:.1f}  {number} words, mean confidence {mean:.3f}, "
            f"{100 * share:.1f} % correct"
            for index, (number, mean, share) in enumerate(calibration["bins"])
            if number
        ),
    ]

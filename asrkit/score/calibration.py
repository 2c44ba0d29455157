"""Calibration: whether words of confidence 0.9 are right nine times in ten."""

from typing import Any, Dict, List, Optional, Sequence

from asrkit.score.evaluation import Evaluation

BINS = 10  # of equal width


def calibrate(evaluation: Evaluation) -> Optional[Dict[str, Any]]:
    """Calibration of an evaluation in words, of the utterances that have confidences; None without any."""
    confidences: List[float] = []
    correct: List[bool] = []
    for transcript, alignment in zip(evaluation.transcripts, evaluation.alignments):
        if transcript.timed is not None:
            confidences += [confidence for _, _, confidence in transcript.timed]
            correct += [reference == hypothesis for reference, hypothesis in alignment if hypothesis]
    return measure_calibration(confidences, correct) if confidences else None


def measure_calibration(confidences: Sequence[float], correct: Sequence[bool]) -> Dict[str, Any]:
    """Expected calibration error and what it is made of.

    `words` counts them; `bins` holds [words, mean confidence, share correct] of each tenth of the
    confidences, from 0 up; `expected_error` is the mean over words of the distance between these two
    (Guo et al. 2017, On Calibration of Modern Neural Networks).
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


def describe_calibration(calibration: Dict[str, Any]) -> str:
    """For example "expected calibration error of confidences 0.021 (773 words)"."""
    error, words = calibration["expected_error"], calibration["words"]
    return f"expected calibration error of confidences {error:.3f} ({words} words)"


def reliability_table(calibration: Dict[str, Any]) -> List[str]:
    """A line for each tenth of the confidences that words have."""
    return [
        f"{index / BINS:.1f}-{(index + 1) / BINS:.1f}  {number} words, mean confidence {mean:.3f}, "
        f"{100 * share:.1f} % correct"
        for index, (number, mean, share) in enumerate(calibration["bins"])
        if number
    ]

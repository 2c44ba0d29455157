"""How well a transcript fits its audio: its CTC score relative to that of the greedy transcript."""

import dataclasses
from typing import Any, Dict, List, Optional, Sequence

import torch
from torch import Tensor

from asrkit.decode.posteriors import encode_cuts
from asrkit.model.acoustic import AcousticModel, greedy_ctc
from asrkit.pipeline.parallel import run_parallel
from asrkit.pipeline.progress import Progress
from asrkit.text.units import Units
from asrkit.train.loss import ctc_loss, frames_needed

PART = 64  # utterances per piece of work


@dataclasses.dataclass(frozen=True)
class Alignment:
    """Score of one utterance's transcript."""

    heard: str  # the model's greedy transcript
    score: Optional[float]  # nats per unit; None if the text can't be aligned
    reason: str = ""  # why it can't


def score_alignments(
    model: AcousticModel, units: Units, cuts: Sequence[Any], batch_duration: float, jobs: int
) -> Dict[str, Alignment]:
    """Align each cut's text in `jobs` processes; returns alignments by id. `batch_duration` in seconds.

    The caller must set torch to one thread before any work: torch's threads don't survive a fork.
    """
    ordered = sorted(cuts, key=lambda cut: (-cut.duration, cut.id))  # similar lengths together
    parts = [ordered[first : first + PART] for first in range(0, len(ordered), PART)]
    found: Dict[str, Alignment] = {}

    def work(index: int) -> Dict[str, Alignment]:
        encoded = encode_cuts(model, parts[index], batch_duration)
        return {cut.id: align(log_probs, units, cut.supervisions[0].text) for cut, _, log_probs in encoded}

    with Progress("alignment", len(ordered)) as bar:

        def done(index: int, result: Dict[str, Alignment]) -> None:
            found.update(result)
            bar.advance(sum(cut.duration for cut in parts[index]), len(parts[index]))

        run_parallel(work, len(parts), jobs, done)
    return found


def align(log_probs: Tensor, units: Units, text: str) -> Alignment:
    """Score a text on log-probabilities (frame, unit).

    The score is log p(text) - log p(greedy transcript), both summed over all CTC alignments, divided by the
    number of units of the longer one: 0 if they are the same. Source: goodness of pronunciation (Witt and
    Young 2000), for a whole utterance instead of a phone.
    """
    heard = greedy_ctc(log_probs[None], [len(log_probs)])[0]
    words = " ".join(units.words(heard))
    unknown = units.unknown_words(text)
    if unknown:
        return Alignment(words, None, f"words without units: {' '.join(unknown)}")
    target = units.encode(text)
    if frames_needed(target) > len(log_probs):
        return Alignment(words, None, f"{frames_needed(target)} frames needed, {len(log_probs)} there")
    difference = _log_probability(log_probs, target) - _log_probability(log_probs, heard)
    return Alignment(words, difference / max(1, len(target), len(heard)))


def _log_probability(log_probs: Tensor, target: List[int]) -> float:
    return -float(ctc_loss(log_probs[None], torch.tensor([len(log_probs)]), [target]))

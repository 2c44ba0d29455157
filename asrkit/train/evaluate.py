"""Loss and greedy word errors on dev."""

import dataclasses
from typing import Any, Dict, List, Optional, Sequence

import kaldialign
import torch

from asrkit.model.acoustic import AcousticModel, greedy_ctc
from asrkit.text.units import Units
from asrkit.train.examples import Example, collate
from asrkit.train.loss import ctc_loss, decoder_loss
from asrkit.train.world import ALONE, World


@dataclasses.dataclass(frozen=True)
class DevResult:
    """Greedy word errors on dev; CTC loss per frame and decoder loss per token, over alignable utterances."""

    errors: int
    words: int
    loss: float
    decoder_loss: Optional[float] = None  # the end of sentence is a token; None: no decoder

    def row(self) -> Dict[str, Any]:
        """As plain values, for logs and checkpoints."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    def wer(self) -> str:
        """The word error rate with its counts, for the terminal."""
        return f"{100 * self.errors / max(1, self.words):.2f} % ({self.errors}/{self.words})"


@torch.no_grad()
def evaluate(
    model: AcousticModel,
    examples: Sequence[Example],
    units: Units,
    batch_duration: float,
    world: World = ALONE,
) -> DevResult:
    """Evaluate on `examples` in batches of `batch_duration` seconds, longest first.

    The batches are divided among the ranks of `world`; all return the result for the whole set.
    """
    was_training = model.training
    model.eval()
    device = model.feature_mean.device
    errors = words = total_frames = total_tokens = 0
    total_loss = total_decoder_loss = 0.0
    for batch in _batch_by_length(examples, batch_duration)[world.rank :: world.size]:
        features, lengths = collate(batch)
        encoded, log_probs, frames = model.encode(features.to(device), lengths.to(device))
        aligned = [row for row, example in enumerate(batch) if example.target is not None]
        if aligned:
            targets = [batch[row].target or [] for row in aligned]
            total_loss += float(ctc_loss(log_probs[aligned], frames[aligned], targets))
            total_frames += int(frames[aligned].sum())
            if model.decoder is not None:
                loss = decoder_loss(model.decoder, encoded[aligned], frames[aligned], targets)
                total_decoder_loss += float(loss)
                total_tokens += sum(len(target) + 1 for target in targets)
        for example, ids in zip(batch, greedy_ctc(log_probs, frames.tolist())):
            reference = example.text.split()
            errors += kaldialign.edit_distance(reference, units.words(ids))["total"]
            words += len(reference)
    model.train(was_training)
    own = [errors, words, total_frames, total_loss, total_tokens, total_decoder_loss]
    counts = world.all_reduce(torch.tensor(own, dtype=torch.float64, device=device)).tolist()
    of_decoder = counts[5] / max(1, counts[4]) if model.decoder is not None else None
    return DevResult(int(counts[0]), int(counts[1]), counts[3] / max(1, counts[2]), of_decoder)


def _batch_by_length(examples: Sequence[Example], batch_duration: float) -> List[List[Example]]:
    batches: List[List[Example]] = []
    for example in sorted(examples, key=lambda e: (-e.seconds, e.id)):
        if batches and batches[-1][0].seconds * (len(batches[-1]) + 1) <= batch_duration:
            batches[-1].append(example)
        else:
            batches.append([example])
    return batches

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
    """Greedy errors on dev, without language model, and where CTC can align its loss a frame and the
    attention decoder's a unit, ends of sentences included; None without decoder."""

    errors: int
    words: int
    loss: float
    decoder_loss: Optional[float] = None

    def row(self) -> Dict[str, Any]:
        """As plain values, for logs and checkpoints."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


@torch.no_grad()
def evaluate(
    model: AcousticModel,
    examples: Sequence[Example],
    units: Units,
    batch_duration: float,
    world: World = ALONE,
) -> DevResult:
    """Run the model over `examples` in batches of `batch_duration` seconds, longest first.

    Each process of `world` takes every so many-th batch; all return the figures of the whole.
    """
    was_training = model.training
    model.eval()
    device = model.feature_mean.device
    errors = words = total_frames = total_units = 0
    loss = loss_of_decoder = 0.0
    for batch in _by_length(examples, batch_duration)[world.rank :: world.size]:
        features, lengths = collate(batch)
        encoded, log_probs, frames = model.encode(features.to(device), lengths.to(device))
        aligned = [row for row, example in enumerate(batch) if example.target is not None]
        if aligned:
            targets = [batch[row].target or [] for row in aligned]
            loss += float(ctc_loss(log_probs[aligned], frames[aligned], targets))
            total_frames += int(frames[aligned].sum())
            if model.decoder is not None:
                loss_of_decoder += float(
                    decoder_loss(model.decoder, encoded[aligned], frames[aligned], targets)
                )
                total_units += sum(len(target) + 1 for target in targets)
        for example, ids in zip(batch, greedy_ctc(log_probs, frames.tolist())):
            reference = example.text.split()
            errors += kaldialign.edit_distance(reference, units.words(ids))["total"]
            words += len(reference)
    model.train(was_training)
    own = [errors, words, total_frames, loss, total_units, loss_of_decoder]
    counts = world.sum(torch.tensor(own, dtype=torch.float64, device=device)).tolist()
    of_decoder = counts[5] / max(1, counts[4]) if model.decoder is not None else None
    return DevResult(int(counts[0]), int(counts[1]), counts[3] / max(1, counts[2]), of_decoder)


def _by_length(examples: Sequence[Example], batch_duration: float) -> List[List[Example]]:
    batches: List[List[Example]] = []
    for example in sorted(examples, key=lambda e: (-e.seconds, e.id)):
        if batches and batches[-1][0].seconds * (len(batches[-1]) + 1) <= batch_duration:
            batches[-1].append(example)
        else:
            batches.append([example])
    return batches

"""Loss and greedy word errors on dev."""

import dataclasses
from typing import Any, Dict, List, Sequence

import kaldialign
import torch

from asrkit.model.acoustic import AcousticModel, greedy_ctc
from asrkit.text.units import Units
from asrkit.train.examples import Example, collate
from asrkit.train.loss import ctc_loss
from asrkit.train.world import ALONE, World


@dataclasses.dataclass(frozen=True)
class DevResult:
    """Greedy errors on dev, without language model, and the loss a frame where CTC can align."""

    errors: int
    words: int
    loss: float

    def row(self) -> Dict[str, Any]:
        """As plain values, for logs and checkpoints."""
        return dataclasses.asdict(self)


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
    errors = words = total_frames = 0
    loss = 0.0
    for batch in _by_length(examples, batch_duration)[world.rank :: world.size]:
        features, lengths = collate(batch)
        log_probs, frames = model(features.to(device), lengths.to(device))
        aligned = [row for row, example in enumerate(batch) if example.target is not None]
        if aligned:
            targets = [batch[row].target or [] for row in aligned]
            loss += float(ctc_loss(log_probs[aligned], frames[aligned], targets))
            total_frames += int(frames[aligned].sum())
        for example, ids in zip(batch, greedy_ctc(log_probs, frames.tolist())):
            reference = example.text.split()
            errors += kaldialign.edit_distance(reference, units.words(ids))["total"]
            words += len(reference)
    model.train(was_training)
    own = torch.tensor([errors, words, total_frames, loss], dtype=torch.float64, device=device)
    counts = world.sum(own).tolist()
    return DevResult(int(counts[0]), int(counts[1]), counts[3] / max(1, counts[2]))


def _by_length(examples: Sequence[Example], batch_duration: float) -> List[List[Example]]:
    batches: List[List[Example]] = []
    for example in sorted(examples, key=lambda e: (-e.seconds, e.id)):
        if batches and batches[-1][0].seconds * (len(batches[-1]) + 1) <= batch_duration:
            batches[-1].append(example)
        else:
            batches.append([example])
    return batches

"""Loss and greedy word errors on dev."""

from typing import Any, Dict, List, Sequence

import kaldialign
import torch

from asrkit.model.acoustic import AcousticModel, greedy_ctc
from asrkit.model.device import move
from asrkit.model.transducer import greedy_transducer
from asrkit.text.units import Units
from asrkit.train.criterion import PLAIN_CTC, Criterion, Output, Spoken
from asrkit.train.examples import Example, collate
from asrkit.train.loss import decoder_loss
from asrkit.train.world import ALONE, World


@torch.no_grad()
def evaluate(
    model: AcousticModel,
    examples: Sequence[Example],
    units: Units,
    batch_duration: float,
    world: World = ALONE,
    criterion: Criterion = PLAIN_CTC,
) -> Dict[str, Any]:
    """Evaluate on `examples` in batches of `batch_duration` seconds, longest first.

    Returns greedy word `errors` and `words`; over alignable utterances the `loss` of `criterion` per frame
    and, if there is a decoder, `decoder_loss` per token, ends of sentences included. The ranks of `world`
    share the batches; all return the figures of the whole set.
    """
    was_training = model.training
    model.eval()
    device = model.feature_mean.device
    errors = words = total_frames = total_tokens = 0
    total_loss = total_decoder_loss = 0.0
    for batch in batch_by_length(examples, batch_duration)[world.rank :: world.size]:
        features, lengths = collate(batch)
        encoded, log_probs, frames = model.encode(move(features, device), lengths)
        aligned = [row for row, example in enumerate(batch) if example.target is not None]
        if aligned:
            targets = [batch[row].target or [] for row in aligned]
            output = Output(encoded[aligned], log_probs[aligned], frames[aligned])
            spoken = Spoken(targets, [batch[row].text for row in aligned])
            total_loss += float(criterion(model, output, spoken))
            total_frames += int(frames[aligned].sum())
            if model.decoder is not None:
                loss = decoder_loss(model.decoder, encoded[aligned], frames[aligned], targets)
                total_decoder_loss += float(loss)
                total_tokens += sum(len(target) + 1 for target in targets)
        found = greedy_ctc(log_probs, frames.tolist())
        if model.transducer is not None:
            found = greedy_transducer(model.transducer, encoded, frames.tolist())
        for example, ids in zip(batch, found):
            reference = example.text.split()
            errors += kaldialign.edit_distance(reference, units.words(ids))["total"]
            words += len(reference)
    model.train(was_training)
    own = [errors, words, total_frames, total_loss, total_tokens, total_decoder_loss]
    counts = world.all_reduce(torch.tensor(own, dtype=torch.float64, device=device)).tolist()
    row = {"errors": int(counts[0]), "words": int(counts[1]), "loss": counts[3] / max(1, counts[2])}
    return {**row, **({"decoder_loss": counts[5] / max(1, counts[4])} if model.decoder is not None else {})}


def word_error_rate(row: Dict[str, Any]) -> float:
    """Percent, of a row of evaluate or of the log."""
    return 100.0 * float(row["errors"]) / max(1, row["words"])


def batch_by_length(examples: Sequence[Example], batch_duration: float) -> List[List[Example]]:
    """Batches of at most `batch_duration` seconds with padding, the longest first."""
    batches: List[List[Example]] = []
    for example in sorted(examples, key=lambda e: (-e.seconds, e.id)):
        if batches and batches[-1][0].seconds * (len(batches[-1]) + 1) <= batch_duration:
            batches[-1].append(example)
        else:
            batches.append([example])
    return batches

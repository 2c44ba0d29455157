"""What is tried before the first step."""

import copy
import time
from typing import List, Sequence

from asrkit.config import TrainConfig
from asrkit.model.acoustic import AcousticModel
from asrkit.text.units import Units
from asrkit.train.batches import plan_batches
from asrkit.train.examples import Example, collate
from asrkit.train.loss import ctc_loss

PROBED = 3  # batches that are timed, after one that warms up


def units_without_examples(examples: Sequence[Example], units: Units) -> List[str]:
    """Units that no training utterance holds, in their order: the model can't learn them."""
    seen = {unit for example in examples for unit in example.target or []}
    return [symbol for index, symbol in enumerate(units.symbols) if index and index not in seen]


def estimate_minutes(
    model: AcousticModel, examples: Sequence[Example], config: TrainConfig, processes: int
) -> float:
    """Minutes that all epochs will take, from whole steps on the first epoch's batches.

    The largest batch, padding included, comes first, so that memory which doesn't suffice shows now. All is
    done on a copy of the model, and touches nothing of the run.
    """
    batches = plan_batches(
        [example.seconds for example in examples],
        seed=config.seed,
        epoch=0,
        batch_duration=config.batch_duration / (processes * config.accumulate),
        buckets=config.buckets,
    )
    largest = max(batches, key=lambda batch: len(batch) * max(examples[index].seconds for index in batch))
    model = copy.deepcopy(model).train()
    _forward_backward(model, [examples[index] for index in largest])
    begin = time.perf_counter()
    audio = 0.0
    for batch in batches[:PROBED]:
        _forward_backward(model, [examples[index] for index in batch])
        audio += sum(examples[index].seconds for index in batch)
    rate = audio / (time.perf_counter() - begin) * processes
    views = 2 if config.consistency_weight else 1
    return config.epochs * views * sum(example.seconds for example in examples) / rate / 60


def _forward_backward(model: AcousticModel, batch: List[Example]) -> None:
    features, lengths = collate(batch)
    device = model.feature_mean.device
    log_probs, frames = model(features.to(device), lengths.to(device))
    loss = ctc_loss(log_probs, frames, [example.target or [] for example in batch])
    loss.backward()

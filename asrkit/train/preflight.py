"""What is tried before the first step."""

import copy
import dataclasses
import time
from typing import List, Sequence

from asrkit.text.units import Units
from asrkit.train.checkpoint import Position
from asrkit.train.compilation import compile_parts
from asrkit.train.examples import Example
from asrkit.train.loop import Training, plan_steps, take_step
from asrkit.train.optimizer import make_optimizer

PROBED = 3  # steps that are timed, after one that warms up


def units_without_examples(examples: Sequence[Example], units: Units) -> List[str]:
    """Units that no training utterance holds, in their order: the model can't learn them."""
    seen = {unit for example in examples for unit in example.target or []}
    return [symbol for index, symbol in enumerate(units.symbols) if index and index not in seen]


def estimate_minutes(training: Training) -> float:
    """Minutes that all epochs will take without their evaluation, from steps of the first epoch.

    The largest step, padding included, comes first, so that memory which doesn't suffice shows now. Steps
    are taken by a copy of the model and an optimiser of its own: nothing of the run is touched.
    """
    model = copy.deepcopy(training.model).train()
    optimizer = make_optimizer(model, training.config, training.world)
    trial = dataclasses.replace(training, model=model, optimizer=optimizer, averaged=None)
    if training.config.compile:
        compile_parts(model)
    position = Position(parts=training.world.size * training.config.accumulate)
    steps = plan_steps(training, 0, position.parts)
    take_step(trial, position, max(steps, key=_padded_seconds), progress=0.0)
    begin = time.perf_counter()
    for batches in steps[:PROBED]:
        take_step(trial, position, batches, progress=0.0)
    elapsed = time.perf_counter() - begin
    share = sum(map(_padded_seconds, steps[:PROBED])) / sum(map(_padded_seconds, steps))
    return training.config.epochs * elapsed / share / 60


def _padded_seconds(batches: Sequence[Sequence[Example]]) -> float:
    return sum(len(batch) * max(example.seconds for example in batch) for batch in batches)

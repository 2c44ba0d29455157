"""What is done and tried before the first step."""

import copy
import dataclasses
import time
from typing import List, Sequence

import torch
from torch import nn

from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.text.units import Units
from asrkit.train.checkpoint import Position
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


def check_compilation() -> None:
    """Raise UserError if this torch can't compile modules in place."""
    if not hasattr(nn.Module, "compile"):
        raise UserError(
            f"train.compile is true, and torch {torch.__version__} has no nn.Module.compile",
            expected="torch 2.2 or newer",
            where="train.compile",
            todo="--set train.compile=false, or a newer torch with the k2 that fits it (asrkit doctor)",
        )


def compile_parts(model: AcousticModel) -> None:
    """Compile the residual front and each attention block where they are: names of weights don't change.

    Lengths differ from batch to batch, so sizes are symbols. Raises UserError if this torch can't.
    """
    check_compilation()
    for part in (model.front, *model.blocks):
        part.compile(dynamic=True)

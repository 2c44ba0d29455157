"""Checks and trial steps before the first step of training."""

import dataclasses
import time
from typing import List, Sequence

import torch
from torch import nn

from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.text.units import Units
from asrkit.train.checkpoint import TrainState
from asrkit.train.examples import Example
from asrkit.train.loop import Training, plan_steps, take_step

TRIAL_STEPS = 3  # timed, after one that warms up


def units_without_examples(examples: Sequence[Example], units: Units) -> List[str]:
    """Units that occur in no training utterance, in their order: the model can't learn them."""
    seen = {unit for example in examples for unit in example.target or []}
    return [symbol for index, symbol in enumerate(units.symbols) if index and index not in seen]


def estimate_minutes(training: Training) -> float:
    """Estimated minutes of training without evaluation, from some steps of the first epoch.

    The largest step, including padding, is taken first: memory that is too small is noticed now. The model
    and the optimiser, which must be unused, are as before afterwards: their copies are in the CPU's memory,
    so that all that trains fits here, too.
    """
    model, optimizer = training.model, training.optimizer
    before = {name: tensor.to("cpu", copy=True) for name, tensor in model.state_dict().items()}
    was_training, rates = model.training, [group["lr"] for group in optimizer.param_groups]
    model.train()
    trial = dataclasses.replace(training, averaged=None)
    state = TrainState(batches_per_step=training.world.size * training.config.gradient_accumulation)
    steps = plan_steps(training, 0, state.batches_per_step)
    padded = [_padded_seconds(batches) for batches in steps]
    take_step(trial, state, steps[padded.index(max(padded))], progress=0.0)
    begin = time.perf_counter()
    for batches in steps[:TRIAL_STEPS]:
        take_step(trial, state, batches, progress=0.0)
    elapsed = time.perf_counter() - begin
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(before[name])
    optimizer.zero_grad(set_to_none=True)
    optimizer.state.clear()
    for group, rate in zip(optimizer.param_groups, rates):
        group["lr"] = rate
    model.train(was_training)
    return training.config.epochs * elapsed * sum(padded) / sum(padded[:TRIAL_STEPS]) / 60


def _padded_seconds(batches: Sequence[Sequence[Example]]) -> float:
    return sum(len(batch) * max(example.seconds for example in batch) for batch in batches)


def check_compilation() -> None:
    """Raise UserError if this torch can't compile modules in place."""
    if not hasattr(nn.Module, "compile"):
        raise UserError(
            f"train.compile is true, and torch {torch.__version__} has no nn.Module.compile",
            expected="torch 2.2 or newer",
            where="train.compile",
            todo="--set train.compile=false, or a newer torch with a matching k2 (asrkit doctor)",
        )


def compile_parts(model: AcousticModel) -> None:
    """Compile each encoder block in place, keeping the names of its weights, for any length and batch size.

    Not the front end: its in-place operations are fused by hand, torch 2.13 compiles them to wrong gradients,
    and it would be compiled again for each number of utterances.
    """
    for block in model.blocks:
        block.compile(dynamic=True)

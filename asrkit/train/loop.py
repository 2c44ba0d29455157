"""The training loop.

All randomness of a step comes from (seed, step), so that a killed run resumes bit for bit.
"""

import dataclasses
import io
import math
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import torch

from asrkit.config import TrainConfig
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.pipeline.progress import Progress
from asrkit.storage.files import remove, write_jsonl
from asrkit.text.units import Units
from asrkit.train.augmentation import Augmenter
from asrkit.train.average import update_average
from asrkit.train.batches import plan_batches
from asrkit.train.checkpoint import Checkpoints, TrainState, choose_epochs, dev_rank, save_epoch
from asrkit.train.evaluate import evaluate, word_error_rate
from asrkit.train.examples import Example, concatenate, count_utterances
from asrkit.train.loss import CTC, consistency_loss, decoder_loss
from asrkit.train.optimizer import learning_rate
from asrkit.train.precision import autocast, count_finite_step, halve_scale, loss_scale
from asrkit.train.watch import Divergence, Utilisation, skip_step, watch_dev, watch_training_loss
from asrkit.train.world import ALONE, World, reduce_gradients, restore_statistics, running_statistics


@dataclasses.dataclass(frozen=True)
class Training:
    """What a run needs: model, data, settings, and the directory of its results."""

    model: AcousticModel
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    units: Units
    train: Sequence[Example]
    dev: Sequence[Example]
    directory: Path  # with checkpoints/, log.jsonl, tensorboard/
    world: World = ALONE
    averaged: Optional[AcousticModel] = None  # exponential moving average of the weights, of train.ema_decay
    augmenter: Augmenter = dataclasses.field(default_factory=Augmenter)
    made_of: str = ""  # fingerprint of data, settings and code, stored in checkpoints

    @property
    def checkpoints(self) -> Checkpoints:
        """Those of this training."""
        modules = {"model": self.model, **({"averaged": self.averaged} if self.averaged else {})}
        folder = self.directory / "checkpoints"
        return Checkpoints(folder, modules, self.optimizer, self.made_of, self.world.is_main)


def run_training(training: Training) -> List[Dict[str, Any]]:
    """Train from the newest intact checkpoint, or from scratch, to the last epoch.

    Returns the log, one row per epoch. Skips steps with a gradient that is not finite. A training that
    diverges is rolled back to the best epoch, at half the learning rate; raises UserError the second time.
    """
    checkpoints, world = training.checkpoints, training.world
    checkpoints.directory.mkdir(parents=True, exist_ok=True)
    found = checkpoints.load(checkpoints.list_resumable())
    state = found or TrainState(batches_per_step=world.size * training.config.gradient_accumulation)
    _check_same_step(training, state)
    hardware = world.describe(training.model.feature_mean.device)
    if found is not None and world.is_main:
        print(f"train: resumes at step {state.step}, epoch {state.epoch + 1}")
        if state.hardware != hardware:
            print(f"train: on {hardware} instead of {state.hardware}: same steps, other rounding")
    state.hardware = hardware
    if found is None:
        checkpoints.save(state, checkpoints.good)
    _tidy(training, state)
    while state.epoch < training.config.epochs:
        try:
            utilisation = Utilisation()
            _train_epoch(training, state, utilisation)
            _finish_epoch(training, state, utilisation)
        except Divergence as divergence:
            state = _roll_back(training, state, divergence)
    if world.is_main:
        remove(checkpoints.good)
    return state.log


def _check_same_step(training: Training, state: TrainState) -> None:
    """Raise UserError if ranks resume at different steps: a network file system may list old files."""
    world = training.world
    steps = torch.zeros(world.size, dtype=torch.float64, device=training.model.feature_mean.device)
    steps[world.rank] = state.step
    found = world.all_reduce(steps).tolist()
    if len(set(found)) > 1:
        raise UserError(
            f"the ranks resume at steps {', '.join(f'{step:.0f}' for step in found)}",
            expected="the same step, that of the newest file resume-*, visible to all ranks",
            where=str(training.checkpoints.directory),
            todo="wait until all machines list the same files there, then run the same command again",
        )


def _roll_back(training: Training, diverged: TrainState, divergence: Divergence) -> TrainState:
    """Return to the best epoch, once; raises UserError the second time. All ranks call it together."""
    where, checkpoints = f"step {diverged.step}, epoch {diverged.epoch + 1}", training.checkpoints
    state = None if diverged.rollbacks else checkpoints.load([checkpoints.good], with_epochs=False)
    if state is None:
        again = "again" if diverged.rollbacks else f"with no intact {checkpoints.good.name} to roll back to"
        raise UserError(
            f"training diverged at {where}, {again}: {divergence.found}",
            expected=divergence.expected,
            where=divergence.where or str(training.directory / "log.jsonl"),
            todo="the learning rate is probably too high: lower train.learning_rate to a quarter (half was "
            "tried), or raise train.warmup_steps or train.batch_duration",
        ) from divergence
    reason = (
        f"diverged at {where}: {divergence.found}; rolled back to step {state.step}, half the learning rate"
    )
    state.rollbacks = [*state.rollbacks, reason]
    # Some have been removed since, when later epochs were better
    state.kept = [epoch for epoch in state.kept if checkpoints.epoch_file(epoch).exists()]
    if training.world.is_main:
        print(f"train: {reason}", flush=True)
    checkpoints.save(state)
    _tidy(training, state)
    return state


def _tidy(training: Training, state: TrainState) -> None:
    """Make the files agree with the state: no other checkpoints, and the log of its epochs."""
    training.checkpoints.prune(state)
    if training.world.is_main:
        write_jsonl(training.directory / "log.jsonl", state.log)


def plan_steps(training: Training, epoch: int, batches_per_step: int) -> List[List[List[Example]]]:
    """The batches of each step of an epoch, at most `batches_per_step`; every utterance is in one.

    Independent of the number of ranks, which may change when training resumes.
    """
    config = training.config
    longest = config.batch_duration / batches_per_step
    examples = concatenate(
        training.train,
        training.augmenter.concatenated,
        seed=config.seed,
        epoch=epoch,
        longest=longest,
        model=training.model.config,
    )
    batches = plan_batches(
        [example.seconds for example in examples],
        seed=config.seed,
        epoch=epoch,
        batch_duration=longest,
        buckets=config.buckets,
    )
    filled = [[examples[index] for index in batch] for batch in batches]
    return [filled[first : first + batches_per_step] for first in range(0, len(filled), batches_per_step)]


def _train_epoch(training: Training, state: TrainState, utilisation: Utilisation) -> None:
    config = training.config
    steps = plan_steps(training, state.epoch, state.batches_per_step)
    training.model.train()
    shown = None if training.world.is_main else io.StringIO()
    with Progress(f"epoch {state.epoch + 1}/{config.epochs}", len(steps), "steps", shown) as bar:
        bar.advance(count=state.batch)
        for batches in steps[state.batch :]:
            progress = (state.epoch + state.batch / len(steps)) / config.epochs
            begun = time.monotonic()
            take_step(training, state, batches, progress)
            seconds = sum(example.seconds for batch in batches for example in batch)
            utilisation.add_step(time.monotonic() - begun, seconds)
            bar.advance(seconds)
            if state.batch < len(steps) and state.step % config.checkpoint_steps == 0:
                training.checkpoints.save(state)
                training.checkpoints.prune(state)


def take_step(training: Training, state: TrainState, batches: List[List[Example]], progress: float) -> None:
    """One step of all ranks: rank r takes batches r, r + world size, ...; the last ranks may get none."""
    config, model = training.config, training.model
    rate = state.rate_factor * learning_rate(config, state.step, progress)
    for group in training.optimizer.param_groups:
        group["lr"] = rate
    statistics = [buffer.clone() for buffer in running_statistics(model)]
    while True:
        frames, loss, blanks = _compute_gradients(training, state, batches)
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip))
        if math.isfinite(norm) or not math.isfinite(loss) or not halve_scale(config, state):
            break
        restore_statistics(model, statistics)  # and retry with the smaller scale
    examples = [example for batch in batches for example in batch]
    if math.isfinite(norm):
        count_finite_step(config, state)
        training.optimizer.step()
        if training.averaged is not None:
            update_average(training.averaged, model, config.ema_decay)
        state.epoch_loss += loss
        state.epoch_blanks += blanks
        state.epoch_frames += int(frames)
        state.epoch_utterances += count_utterances(examples)
        state.epoch_norm = max(state.epoch_norm, norm)
        watch_training_loss(state, loss / max(1.0, frames))
    else:
        restore_statistics(model, statistics)
        skip_step(state, examples, loss, training.directory, training.world.is_main)
    state.step += 1
    state.batch += 1


def _compute_gradients(training: Training, state: TrainState, batches: List[List[Example]]) -> List[float]:
    """Set the gradients to those of all ranks' batches, per frame; returns total frames, loss and blanks."""
    world, model = training.world, training.model
    training.optimizer.zero_grad(set_to_none=True)
    counts = torch.zeros(3, device=model.feature_mean.device)
    scale = loss_scale(training.config, state)
    draw = state.step * state.batches_per_step
    for number in range(world.rank, len(batches), world.size):
        counts += _accumulate_gradients(training, draw + number, batches[number], scale)
    totals: List[float] = reduce_gradients(world, model, counts, scale).tolist()
    return totals


def _accumulate_gradients(
    training: Training, draw: int, examples: List[Example], scale: float
) -> torch.Tensor:
    """Add `scale` times the gradient of a batch's summed loss; returns its frames, CTC loss and blank
    probability, summed. `draw` seeds augmentation and dropout."""
    config = training.config
    torch.manual_seed(config.seed * 1_000_003 + draw)  # dropout
    views = 2 if config.consistency_weight else 1
    augmented, lengths = training.augmenter.batch(examples, config.seed, draw, views)
    device = training.model.feature_mean.device
    with autocast(config, device):
        lengths = lengths.repeat(views).to(device)
        encoded, outputs, frames = training.model.forward_depths(augmented.to(device), lengths)
    targets = [example.target or [] for example in examples] * views
    *intermediate, log_probs = outputs
    ctc_loss = CTC[config.ctc]
    total = loss = ctc_loss(log_probs, frames, targets)
    if intermediate:
        weight = config.intermediate_weight
        others = torch.stack([ctc_loss(output, frames, targets) for output in intermediate])
        total = (1 - weight) * loss + weight * others.mean()
    if training.model.decoder is not None:
        with autocast(config, device):
            attention = decoder_loss(training.model.decoder, encoded, frames, targets, config.label_smoothing)
        total = (1 - config.decoder_weight) * total + config.decoder_weight * attention
    if config.consistency_weight:
        total = total + config.consistency_weight * consistency_loss(log_probs, frames)
    (scale * total).backward()
    inside = torch.arange(log_probs.shape[1], device=frames.device) < frames[:, None]
    blanks = (log_probs[..., 0].detach().exp() * inside).sum()
    return torch.stack([frames.sum().float(), loss.detach(), blanks])


def _finish_epoch(training: Training, state: TrainState, utilisation: Utilisation) -> None:
    """Evaluate on dev, write the epoch's weights, then the checkpoint that counts it as finished."""
    config, checkpoints = training.config, training.checkpoints
    model = training.averaged or training.model
    result = evaluate(model, training.dev, training.units, config.batch_duration, training.world)
    row: Dict[str, Any] = {
        "epoch": state.epoch + 1,
        "step": state.step,
        "train_loss": state.epoch_loss / max(1, state.epoch_frames),
        "blank_share": state.epoch_blanks / max(1, state.epoch_frames),
        "gradient_norm": state.epoch_norm,
        "learning_rate": training.optimizer.param_groups[0]["lr"],
        "utterances": state.epoch_utterances,
        "skipped": state.skipped,
        "rollbacks": state.rollbacks,
        **result,
    }
    watch_dev(state.log, row)
    if training.world.is_main:
        losses = f"loss {row['train_loss']:.3f} | dev loss {row['loss']:.3f}"
        rate = f"{word_error_rate(row):.2f} % ({row['errors']}/{row['words']})"
        print(f"epoch {row['epoch']}/{config.epochs} | {losses} | dev WER (greedy) {rate}", flush=True)
        save_epoch(checkpoints.epoch_file(row["epoch"]), model, row, training.made_of)
    used = utilisation.row(model.feature_mean.device)
    state.log.append({**row, **used, "finished": round(time.time(), 1)})
    existing = [*state.kept, row["epoch"]]
    rows = [each for each in state.log if each["epoch"] in existing]
    state.kept = choose_epochs(rows, config.keep_best, config.keep_last)
    state.start_epoch()
    if min(state.log, key=dev_rank) is state.log[-1]:
        checkpoints.save(state, checkpoints.good)
    checkpoints.save(state)
    _tidy(training, state)

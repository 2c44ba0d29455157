"""The training loop.

Everything random in a step comes from (seed, step), so that a killed run resumes exactly.
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
from asrkit.train.checkpoint import (
    GOOD,
    Position,
    choose_epochs,
    epoch_file,
    is_best,
    list_points,
    load_point,
    prune,
    resume_file,
    save_epoch,
    save_point,
)
from asrkit.train.evaluate import evaluate
from asrkit.train.examples import Example, concatenate, count_utterances
from asrkit.train.loss import CTC, consistency_loss, decoder_loss
from asrkit.train.precision import autocast, halve_scale, loss_scale, note_step
from asrkit.train.schedule import learning_rate
from asrkit.train.watch import (
    Divergence,
    Utilisation,
    explain_fault,
    keep_examples,
    refuse_more_skips,
    restore_statistics,
    running_statistics,
    watch_dev,
    watch_training_loss,
)
from asrkit.train.world import ALONE, World, share_gradients


@dataclasses.dataclass(frozen=True)
class Training:
    """What a run needs: the model, the data, the settings, and where checkpoints go."""

    model: AcousticModel
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    units: Units
    train: Sequence[Example]
    dev: Sequence[Example]
    directory: Path  # holds checkpoints/, log.jsonl, tensorboard/
    world: World = ALONE
    averaged: Optional[AcousticModel] = None  # running mean of the weights, where train.ema_decay is set
    augmenter: Augmenter = dataclasses.field(default_factory=Augmenter)
    made_of: str = ""  # fingerprint of data, settings and code, which checkpoints bear

    @property
    def checkpoints(self) -> Path:
        """resume-<step> and epoch-<number> files, and good.safetensors until training has ended."""
        return self.directory / "checkpoints"

    @property
    def modules(self) -> Dict[str, AcousticModel]:
        """The models that a resume point holds."""
        return {"model": self.model, **({"averaged": self.averaged} if self.averaged else {})}


def run_training(training: Training) -> List[Dict[str, Any]]:
    """Train from the newest whole resume point, or the start, to the last epoch.

    Returns the log, a row an epoch. A step whose gradient isn't finite is skipped. Training that diverges
    goes back to the best epoch, at half the learning rate; raises UserError when it does so again.
    """
    training.checkpoints.mkdir(parents=True, exist_ok=True)
    found = _load_point(training, list_points(training.checkpoints))
    position = found or Position(parts=training.world.size * training.config.accumulate)
    _refuse_other_steps(training, position)
    hardware = training.world.describe(training.model.feature_mean.device)
    if found is not None and training.world.first:
        print(f"train: resumes at step {position.step}, epoch {position.epoch + 1}")
        if position.hardware != hardware:
            print(f"train: by {hardware} instead of {position.hardware}: the same steps, rounded otherwise")
    position.hardware = hardware
    if found is None:
        _save_point(training, training.checkpoints / GOOD, position)
    _tidy(training, position)
    while position.epoch < training.config.epochs:
        try:
            utilisation = Utilisation()
            _train_epoch(training, position, utilisation)
            _finish_epoch(training, position, utilisation)
        except Divergence as divergence:
            position = _go_back(training, position, divergence)
    if training.world.first:
        remove(training.checkpoints / GOOD)
    return position.log


def _refuse_other_steps(training: Training, position: Position) -> None:
    """Raise UserError where processes begin at different steps: a network folder may show old files."""
    world = training.world
    steps = torch.zeros(world.size, dtype=torch.float64, device=training.model.feature_mean.device)
    steps[world.rank] = position.step
    found = world.sum(steps).tolist()
    if len(set(found)) > 1:
        raise UserError(
            f"the processes begin at steps {', '.join(f'{step:.0f}' for step in found)}",
            expected="one step, that of the newest file resume-*, which all of them see",
            where=str(training.checkpoints),
            todo="wait until all machines list the same files there, then run the same command again",
        )


def _go_back(training: Training, diverged: Position, divergence: Divergence) -> Position:
    """Return to good.safetensors, once; raises UserError the second time. All processes come here alike."""
    where = f"step {diverged.step}, epoch {diverged.epoch + 1}"
    position = None
    if not diverged.returns:
        position = _load_point(training, [training.checkpoints / GOOD], with_epochs=False)
    if position is None:
        again = "again" if diverged.returns else f"with no whole {GOOD} to return to"
        raise UserError(
            f"training has diverged at {where}, {again}: {divergence.found}",
            expected=divergence.expected,
            where=divergence.where or str(training.directory / "log.jsonl"),
            todo="most likely the steps are too large: lower train.learning_rate to a quarter, for half was "
            "tried, or raise train.warmup_steps or train.batch_duration",
        ) from divergence
    said = f"diverged at {where}: {divergence.found}; back to step {position.step}, half the learning rate"
    position.returns = [*position.returns, said]
    # Some have been removed since, when later epochs were better
    position.kept = [epoch for epoch in position.kept if epoch_file(training.checkpoints, epoch).exists()]
    if training.world.first:
        print(f"train: {said}", flush=True)
        _save_point(training, resume_file(training.checkpoints, position), position)
    _tidy(training, position)
    return position


def _tidy(training: Training, position: Position) -> None:
    """Make files agree with the position: no other checkpoints, and the log of its epochs."""
    if training.world.first:
        prune(training.checkpoints, position)
        write_jsonl(training.directory / "log.jsonl", position.log)


def plan_steps(training: Training, epoch: int, parts: int) -> List[List[List[Example]]]:
    """The batches of each step of an epoch, `parts` of them at most; every utterance is in one.

    They don't depend on the processes that take them, which may be others after an interruption.
    """
    config = training.config
    longest = config.batch_duration / parts
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
    return [filled[first : first + parts] for first in range(0, len(filled), parts)]


def _train_epoch(training: Training, position: Position, utilisation: Utilisation) -> None:
    config, world = training.config, training.world
    steps = plan_steps(training, position.epoch, position.parts)
    training.model.train()
    shown = None if world.first else io.StringIO()
    with Progress(f"epoch {position.epoch + 1}/{config.epochs}", len(steps), "steps", shown) as bar:
        bar.advance(count=position.batch)
        for batches in steps[position.batch :]:
            progress = (position.epoch + position.batch / len(steps)) / config.epochs
            begun = time.monotonic()
            take_step(training, position, batches, progress)
            seconds = sum(example.seconds for batch in batches for example in batch)
            utilisation.add_step(time.monotonic() - begun, seconds)
            bar.advance(seconds)
            if position.batch < len(steps) and position.step % config.checkpoint_steps == 0:
                _save_resume_point(training, position)


def _save_resume_point(training: Training, position: Position) -> None:
    _save_point(training, resume_file(training.checkpoints, position), position)
    if training.world.first:
        prune(training.checkpoints, position)


def _load_point(training: Training, files: Sequence[Path], with_epochs: bool = True) -> Optional[Position]:
    return load_point(
        training.checkpoints,
        training.modules,
        training.optimizer,
        files,
        training.world.first,
        training.made_of,
        with_epochs,
    )


def _save_point(training: Training, file: Path, position: Position) -> None:
    if training.world.first:
        save_point(file, position, training.modules, training.optimizer, training.made_of)


def take_step(training: Training, position: Position, batches: List[List[Example]], progress: float) -> None:
    """One step of all processes: each takes every so many-th of the batches, and the last may get none."""
    config, model = training.config, training.model
    rate = position.rate_factor * learning_rate(config, position.step, progress)
    for group in training.optimizer.param_groups:
        group["lr"] = rate
    statistics = [buffer.clone() for buffer in running_statistics(model)]
    while True:
        frames, loss, blanks = _gather_gradients(training, position, batches)
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip))
        if math.isfinite(norm) or not math.isfinite(loss) or not halve_scale(config, position):
            break
        restore_statistics(model, statistics)  # and the same once more, at a smaller scale
    examples = [example for batch in batches for example in batch]
    if math.isfinite(norm):
        note_step(config, position)
        training.optimizer.step()
        if training.averaged is not None:
            update_average(training.averaged, model, config.ema_decay)
        position.epoch_loss += loss
        position.epoch_blanks += blanks
        position.epoch_frames += int(frames)
        position.epoch_utterances += count_utterances(examples)
        position.epoch_norm = max(position.epoch_norm, norm)
        watch_training_loss(position, loss / max(1.0, frames))
    else:
        restore_statistics(model, statistics)
        _skip_step(training, position, examples, loss)
    position.step += 1
    position.batch += 1


def _gather_gradients(training: Training, position: Position, batches: List[List[Example]]) -> List[float]:
    """Give parameters the gradient of all processes' batches, a frame; sums (frames, loss, blanks) of all."""
    world, model = training.world, training.model
    training.optimizer.zero_grad(set_to_none=True)
    counts = torch.zeros(3, device=model.feature_mean.device)
    scale = loss_scale(training.config, position)
    draw = position.step * position.parts
    for number in range(world.rank, len(batches), world.size):
        counts += _accumulate_gradients(training, draw + number, batches[number], scale)
    totals: List[float] = share_gradients(world, model, counts, scale).tolist()
    return totals


def _skip_step(training: Training, position: Position, examples: List[Example], loss: float) -> None:
    """Keep what the step was made of for inspection, and stop when it happens too often."""
    position.skipped += 1
    cause = explain_fault(examples, loss)
    if training.world.first:
        file = keep_examples(training.directory, position.step, examples, cause)
        print(
            f"train: step {position.step} is skipped with its {count_utterances(examples)} utterances, "
            f"its gradient is not finite: {cause}; see {file.name}"
        )
    refuse_more_skips(position, cause, examples, training.directory)


def _accumulate_gradients(
    training: Training, draw: int, examples: List[Example], scale: float
) -> torch.Tensor:
    """Add `scale` times the gradient of the batch's summed loss; returns sums (frames, loss, blank
    probability).

    `draw` seeds what is random.
    """
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


def _finish_epoch(training: Training, position: Position, utilisation: Utilisation) -> None:
    """Evaluate on dev, write the epoch's weights, then the resume point that counts it as done."""
    config, world = training.config, training.world
    model = training.averaged or training.model
    result = evaluate(model, training.dev, training.units, config.batch_duration, world)
    row: Dict[str, Any] = {
        "epoch": position.epoch + 1,
        "step": position.step,
        "train_loss": position.epoch_loss / max(1, position.epoch_frames),
        "blank_share": position.epoch_blanks / max(1, position.epoch_frames),
        "gradient_norm": position.epoch_norm,
        "learning_rate": training.optimizer.param_groups[0]["lr"],
        "utterances": position.epoch_utterances,
        "skipped": position.skipped,
        "returns": position.returns,
        **result.row(),
    }
    watch_dev(position.log, row)
    if world.first:
        print(
            f"epoch {row['epoch']:>3}: train loss {row['train_loss']:.3f}, dev loss {result.loss:.3f}, "
            f"dev greedy {result.errors}/{result.words} = {100 * result.errors / max(1, result.words):.2f} %",
            flush=True,
        )
        save_epoch(epoch_file(training.checkpoints, row["epoch"]), model, row, training.made_of)
    used = utilisation.row(model.feature_mean.device)
    position.log.append({**row, **used, "finished": round(time.time(), 1)})
    there = [*position.kept, row["epoch"]]
    rows = [each for each in position.log if each["epoch"] in there]
    position.kept = choose_epochs(rows, config.keep_best, config.keep_last)
    position.start_epoch()
    if is_best(position.log):
        _save_point(training, training.checkpoints / GOOD, position)
    _save_resume_point(training, position)
    _tidy(training, position)

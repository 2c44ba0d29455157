"""The training loop.

Everything random in a step comes from (seed, step), so that a killed run resumes exactly.
"""

import dataclasses
import io
import time
from pathlib import Path
from typing import Any, Dict, List, Sequence

import torch

from asrkit.config import TrainConfig
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.pipeline.progress import Progress
from asrkit.signal.augmentation import spec_augment
from asrkit.storage.files import write_jsonl
from asrkit.text.units import Units
from asrkit.train.batches import plan_batches
from asrkit.train.checkpoint import (
    Position,
    load_resume_point,
    prune_epochs,
    save_epoch,
    save_resume_point,
)
from asrkit.train.evaluate import evaluate
from asrkit.train.examples import Example, collate
from asrkit.train.loss import consistency_loss, ctc_loss
from asrkit.train.schedule import learning_rate
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

    @property
    def checkpoints(self) -> Path:
        """resume-<step> and epoch-<number> files."""
        return self.directory / "checkpoints"


def run_training(training: Training) -> List[Dict[str, Any]]:
    """Train from the newest resume point, or the start, to the last epoch.

    Returns the log, a row an epoch. Raises UserError when loss or gradient stop being finite.
    """
    training.checkpoints.mkdir(parents=True, exist_ok=True)
    position = load_resume_point(training.checkpoints, training.model, training.optimizer)
    if position is None:
        position = Position()
    elif training.world.first:
        print(f"train: resumes at step {position.step}, epoch {position.epoch + 1}")
    while position.epoch < training.config.epochs:
        _train_epoch(training, position)
        _finish_epoch(training, position)
    return position.log


def _train_epoch(training: Training, position: Position) -> None:
    config, world = training.config, training.world
    batches = plan_batches(
        [example.seconds for example in training.train],
        seed=config.seed,
        epoch=position.epoch,
        batch_duration=config.batch_duration / world.size,
        buckets=config.buckets,
    )
    steps = [batches[first : first + world.size] for first in range(0, len(batches), world.size)]
    training.model.train()
    shown = None if world.first else io.StringIO()
    with Progress(f"epoch {position.epoch + 1}/{config.epochs}", len(steps), "steps", shown) as bar:
        bar.advance(count=position.batch)
        for step in steps[position.batch :]:
            shares = [[training.train[index] for index in batch] for batch in step]
            progress = (position.epoch + position.batch / len(steps)) / config.epochs
            _step(training, position, shares, progress)
            bar.advance(sum(example.seconds for share in shares for example in share))
            if position.batch < len(steps) and position.step % config.checkpoint_steps == 0:
                _save_resume_point(training, position)


def _save_resume_point(training: Training, position: Position) -> None:
    if training.world.first:
        save_resume_point(training.checkpoints, position, training.model, training.optimizer)


def _step(training: Training, position: Position, shares: List[List[Example]], progress: float) -> None:
    """One step of all processes; `shares` are their batches, the last ones' may be missing."""
    config, model, world = training.config, training.model, training.world
    for group in training.optimizer.param_groups:
        group["lr"] = learning_rate(config, position.step, progress)
    training.optimizer.zero_grad(set_to_none=True)
    counts = torch.zeros(2, dtype=torch.float32)
    if world.rank < len(shares):
        counts = _accumulate_gradients(training, position.step * world.size + world.rank, shares[world.rank])
    frames, loss = share_gradients(world, model, counts).tolist()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
    if not torch.isfinite(norm):
        raise UserError(
            f"loss {loss} or its gradient is not finite at step {position.step}",
            expected="finite numbers",
            where=f"utterances {', '.join(example.id for share in shares for example in share[:5])}, ...",
            todo="lower train.learning_rate, or raise train.warmup_steps",
        )
    training.optimizer.step()
    position.step += 1
    position.batch += 1
    position.epoch_loss += loss
    position.epoch_frames += int(frames)


def _accumulate_gradients(training: Training, draw: int, examples: List[Example]) -> torch.Tensor:
    """Add the gradient of the batch's summed loss; returns (frames, loss). `draw` seeds what is random."""
    config = training.config
    torch.manual_seed(config.seed * 1_000_003 + draw)  # dropout
    generator = torch.Generator().manual_seed(config.seed * 7_000_003 + draw)
    views = 2 if config.consistency_weight else 1
    features, lengths = collate(examples)
    augmented = [spec_augment(features, lengths, config, generator) for _ in range(views)]
    log_probs, frames = training.model(torch.cat(augmented), lengths.repeat(views))
    loss = ctc_loss(log_probs, frames, [example.target or [] for example in examples] * views)
    total = loss
    if config.consistency_weight:
        total = loss + config.consistency_weight * consistency_loss(log_probs, frames)
    total.backward()
    return torch.stack([frames.sum().float(), loss.detach().cpu()])


def _finish_epoch(training: Training, position: Position) -> None:
    """Evaluate on dev, write the epoch's weights, then the resume point that counts it as done."""
    config, world = training.config, training.world
    result = evaluate(training.model, training.dev, training.units, config.batch_duration, world)
    row: Dict[str, Any] = {
        "epoch": position.epoch + 1,
        "step": position.step,
        "train_loss": position.epoch_loss / max(1, position.epoch_frames),
        **result.row(),
    }
    if world.first:
        print(
            f"epoch {row['epoch']:>3}: train loss {row['train_loss']:.3f}, dev loss {result.loss:.3f}, "
            f"dev greedy {result.errors}/{result.words} = {100 * result.errors / max(1, result.words):.2f} %",
            flush=True,
        )
        save_epoch(training.checkpoints / f"epoch-{row['epoch']:04d}.safetensors", training.model, row)
    position.log.append({**row, "finished": round(time.time(), 1)})
    position.epoch += 1
    position.batch, position.epoch_loss, position.epoch_frames = 0, 0.0, 0
    _save_resume_point(training, position)
    if world.first:
        prune_epochs(training.checkpoints, config.keep_best, config.keep_last)
        write_jsonl(training.directory / "log.jsonl", position.log)

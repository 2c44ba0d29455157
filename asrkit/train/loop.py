"""The training loop.

All randomness of a step comes from (seed, step), so that a killed run resumes bit for bit on a CPU. On a GPU
sums such as those of CTC's gradient have no fixed order.
"""

import dataclasses
import io
import math
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence

import numpy as np
import torch
from torch import Tensor

from asrkit.config import TrainConfig
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.model.device import autocast, move
from asrkit.pipeline.progress import Progress
from asrkit.storage.files import remove, write_jsonl
from asrkit.text.units import Units
from asrkit.train.augmentation import Augmenter
from asrkit.train.average import average_decay, update_average
from asrkit.train.batches import plan_batches
from asrkit.train.checkpoint import Checkpoints, TrainState, choose_epochs, dev_rank, save_epoch
from asrkit.train.criterion import PLAIN_CTC, Criterion, Output, Spoken
from asrkit.train.evaluate import evaluate, word_error_rate
from asrkit.train.examples import (
    Chosen,
    Example,
    Utterance,
    concatenate,
    count_utterances,
    draw_replayed,
    take,
)
from asrkit.train.feed import Batch, BatchMaker, Feed, Request, count_workers
from asrkit.train.loss import consistency_loss, decoder_loss
from asrkit.train.optimizer import learning_rate
from asrkit.train.precision import count_finite_step, halve_scale, loss_scale
from asrkit.train.watch import Divergence, Utilisation, skip_step, watch_dev, watch_training_loss
from asrkit.train.world import (
    ALONE,
    GradientSum,
    World,
    reduce_gradients,
    restore_statistics,
    running_statistics,
)


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
    criterion: Criterion = PLAIN_CTC
    averaged: Optional[AcousticModel] = None  # exponential moving average of the weights, of train.ema_decay
    augmenter: Augmenter = dataclasses.field(default_factory=Augmenter)
    replayed: int = 0  # the last examples of `train`, of which each epoch has the share train.replay
    made_of: str = ""  # fingerprint of data, settings and code, stored in checkpoints

    def batch_maker(self, workers: int = 0) -> BatchMaker:
        """What makes this training's batches, in this process or in `workers` others."""
        views = 2 if self.config.consistency_weight else 1
        return BatchMaker(self.train, self.augmenter, self.config.seed, views, workers)

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
            _report_hardware(hardware, state.hardware)
    state.hardware = hardware
    if found is None:
        checkpoints.save(state, checkpoints.good)
    _tidy(training, state)
    device = training.model.feature_mean.device
    workers = count_workers(training.config.workers, world, device)
    feed = Feed(training.batch_maker(workers), workers, device.type == "cuda")
    try:
        while state.epoch < training.config.epochs:
            try:
                utilisation = Utilisation()
                with feed.dead_workers_explained():
                    _train_epoch(training, state, utilisation, feed)
                _finish_epoch(training, state, utilisation)
            except Divergence as divergence:
                state = _roll_back(training, state, divergence)
    finally:
        feed.close()
    if world.is_main:
        remove(checkpoints.good)
    return state.log


def _report_hardware(now: str, before: str) -> None:
    """Log what differs on other hardware; `now` and `before` come from World.describe."""
    differs = "rounding"
    # One rank updates the running statistics once per batch, several ranks once per step, to their mean
    if now.split()[0] != before.split()[0]:
        differs += " and statistics of batch normalisation"
    print(f"train: on {now} instead of {before}: same steps, other {differs}")


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


@dataclasses.dataclass(frozen=True)
class Plan(Sequence[List[List[Example]]]):
    """The batches of each step of an epoch, as places in a list of examples, looked up when read."""

    examples: Sequence[Example]
    steps: Sequence[List[List[Utterance]]]

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, step: Any) -> Any:
        if isinstance(step, slice):
            return Plan(self.examples, self.steps[step])
        return [[take(self.examples, utterance) for utterance in batch] for batch in self.steps[step]]

    def requests(self, world: World, draw: int, batches_per_step: int) -> Iterator[Request]:
        """The batches of a rank: r, r + world size, ... of each step. The first step's are numbered from
        `draw` on."""
        for index, batches in enumerate(self.steps):
            for number in range(world.rank, len(batches), world.size):
                yield Request(draw + index * batches_per_step + number, batches[number])


def plan_steps(training: Training, epoch: int, batches_per_step: int) -> Plan:
    """The batches of each step of an epoch, at most `batches_per_step`; every utterance is in one, of the
    replayed ones a part.

    Independent of the number of ranks, which may change when training resumes.
    """
    config = training.config
    longest = config.batch_duration / batches_per_step
    replay = training.replayed, config.replay
    places = draw_replayed(len(training.train) - training.replayed, *replay, seed=config.seed, epoch=epoch)
    utterances = concatenate(
        Chosen(training.train, places),
        training.augmenter.concatenated,
        seed=config.seed,
        epoch=epoch,
        longest=longest,
        model=training.model.config,
    )
    utterances = [tuple(places[part] for part in utterance) for utterance in utterances]
    seconds = [example.seconds for example in training.train]
    batches = plan_batches(
        [sum(seconds[part] for part in utterance) for utterance in utterances],
        seed=config.seed,
        epoch=epoch,
        batch_duration=longest,
        buckets=config.buckets,
    )
    filled = [[utterances[index] for index in batch] for batch in batches]
    firsts = range(0, len(filled), batches_per_step)
    return Plan(training.train, [filled[first : first + batches_per_step] for first in firsts])


def _train_epoch(training: Training, state: TrainState, utilisation: Utilisation, feed: Feed) -> None:
    config = training.config
    steps = plan_steps(training, state.epoch, state.batches_per_step)
    training.model.train()
    left, per_step = steps[state.batch :], state.batches_per_step
    made = feed.batches(left.requests(training.world, state.step * per_step, per_step))
    shown = None if training.world.is_main else io.StringIO()
    with Progress(f"epoch {state.epoch + 1}/{config.epochs}", len(steps), "steps", shown) as bar:
        bar.advance(count=state.batch)
        for batches in left:
            progress = (state.epoch + state.batch / len(steps)) / config.epochs
            begun = time.monotonic()
            take_step(training, state, batches, progress, made)
            seconds = sum(example.seconds for batch in batches for example in batch)
            utilisation.add_step(time.monotonic() - begun, seconds)
            bar.advance(seconds)
            if state.batch < len(steps) and state.step % config.checkpoint_steps == 0:
                training.checkpoints.save(state)
                training.checkpoints.prune(state)


def take_step(
    training: Training,
    state: TrainState,
    batches: List[List[Example]],
    progress: float,
    feed: Optional[Iterator[Batch]] = None,
) -> None:
    """One step of all ranks: rank r takes batches r, r + world size, ...; the last ranks may get none.

    This rank's batches come from `feed`; without it they are made here.
    """
    config, model = training.config, training.model
    rate = state.rate_factor * learning_rate(config, state.step, progress)
    for group in training.optimizer.param_groups:
        group["lr"] = rate
    statistics = [buffer.clone() for buffer in running_statistics(model)]
    own = range(training.world.rank, len(batches), training.world.size)
    if feed is None:
        maker, draw = training.batch_maker(), state.step * state.batches_per_step
        feed = (maker.make(draw + number, batches[number]) for number in own)
    made = [next(feed) for _ in own]
    while True:
        counts = _compute_gradients(training, state, made)
        total = torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
        # The one time in a step that a GPU is waited for
        frames, loss, blanks, norm = torch.cat([counts, total[None]]).tolist()
        if math.isfinite(norm) or not math.isfinite(loss) or not halve_scale(config, state):
            break
        restore_statistics(model, statistics)  # and retry with the smaller scale
    examples = [example for batch in batches for example in batch]
    if math.isfinite(norm):
        count_finite_step(config, state)
        training.optimizer.step()
        if training.averaged is not None:
            update_average(training.averaged, model, average_decay(config.ema_decay, state.step))
        state.epoch_loss += loss
        state.epoch_blanks += blanks
        state.epoch_frames += int(frames)
        state.epoch_utterances += count_utterances(examples)
        state.epoch_norm = max(state.epoch_norm, norm)
        watch_training_loss(state, loss / max(1.0, frames))
    else:
        restore_statistics(model, statistics)
        window, is_main = config.skip_window, training.world.is_main
        skip_step(state, examples, loss, window, training.directory, is_main)
    state.step += 1
    state.batch += 1


def _compute_gradients(training: Training, state: TrainState, batches: Sequence[Batch]) -> Tensor:
    """Set the gradients to those of all ranks' batches, per frame; returns total (frames, loss, blanks).

    `batches`: those of this rank.
    """
    world, model = training.world, training.model
    training.optimizer.zero_grad(set_to_none=True)
    counts = torch.zeros(3, device=model.feature_mean.device)
    scale = loss_scale(training.config, state)
    gradients = GradientSum(world, model)
    for batch in batches:
        if batch is batches[-1]:
            gradients.start()
        counts += _accumulate_gradients(training, batch, scale)
    return reduce_gradients(world, model, counts, scale, gradients)


def _accumulate_gradients(training: Training, batch: Batch, scale: float) -> Tensor:
    """Add `scale` times the gradient of a batch's summed loss; returns its frames, the criterion's loss and
    blank probability, summed."""
    config, targets, criterion = training.config, batch.targets, training.criterion
    spoken = Spoken(targets, batch.texts)
    torch.manual_seed(config.seed * 1_000_003 + batch.draw)  # dropout
    device = training.model.feature_mean.device
    with autocast(config.precision, device):
        features = move(batch.features, device)
        chunk = draw_chunk(config, batch.draw)
        encoded, outputs, frames = training.model.forward_depths(features, batch.lengths, chunk)
    *intermediate, log_probs = outputs
    total = loss = criterion(training.model, Output(encoded, log_probs, frames), spoken)
    if intermediate:
        weight = config.intermediate_weight
        others = torch.stack([criterion.ctc(output, frames, spoken) for output in intermediate])
        total = (1 - weight) * loss + weight * others.mean()
    if training.model.decoder is not None:
        with autocast(config.precision, device):
            attention = decoder_loss(training.model.decoder, encoded, frames, targets, config.label_smoothing)
        total = (1 - config.decoder_weight) * total + config.decoder_weight * attention
    if config.consistency_weight:
        total = total + config.consistency_weight * consistency_loss(log_probs, frames)
    (scale * total).backward()
    inside = torch.arange(log_probs.shape[1], device=device) < move(frames, device)[:, None]
    blanks = (log_probs[..., 0].detach().exp() * inside).sum()
    return torch.stack([move(frames.sum().float(), device), loss.detach(), blanks])


def draw_chunk(config: TrainConfig, draw: int) -> Optional[int]:
    """Frames per chunk of the batch number `draw`: none for half of the batches, else 1 to train.chunk."""
    if config.chunk is None:
        return None
    random = np.random.default_rng([config.seed, draw])
    return None if random.random() < 0.5 else int(random.integers(1, config.chunk, endpoint=True))


def _finish_epoch(training: Training, state: TrainState, utilisation: Utilisation) -> None:
    """Evaluate on dev, write the epoch's weights, then the checkpoint that counts it as finished."""
    config, checkpoints = training.config, training.checkpoints
    model = training.averaged or training.model
    dev, units, criterion = training.dev, training.units, training.criterion
    batch_duration = config.batch_duration / config.gradient_accumulation  # known to fit into memory
    result = evaluate(model, dev, units, batch_duration, training.world, criterion)
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

"""Training of the network that speaks: the engine's batches, schedule, optimiser and checkpoints.

All randomness of a step comes from (seed, step), so that a killed run resumes bit for bit.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asrkit.config.recipe import SynthesisConfig, TrainConfig
from asrkit.errors import UserError
from asrkit.pipeline.progress import Progress
from asrkit.storage.files import write_jsonl
from asrkit.synthesis.durations import TimedUnits
from asrkit.synthesis.network import SpeechNetwork
from asrkit.train.batches import plan_batches
from asrkit.train.checkpoint import Checkpoints, TrainState
from asrkit.train.examples import StoredFeatures
from asrkit.train.optimizer import ADAMW_BETAS, Muon, learning_rate
from asrkit.train.world import ALONE

DURATION_WEIGHT = 0.1  # of the squared error of log durations beside the absolute one of features
SMALLEST_BATCHES = 20  # buckets of similar duration
CHECKPOINT_STEPS = 100


@dataclasses.dataclass(frozen=True)
class Spoken:
    """An utterance to learn from: its timed units, its speaker's number, its features."""

    timed: TimedUnits
    speaker: int
    source: StoredFeatures


def train_network(
    network: SpeechNetwork,
    config: SynthesisConfig,
    train: Sequence[Spoken],
    dev: Sequence[Spoken],
    folder: Path,
    made_of: str = "",
    frame_shift: float = 0.01,
) -> List[Dict[str, Any]]:
    """Train from the newest intact checkpoint in `folder`, or from scratch; returns a row per epoch.

    Raises UserError for a loss that is not finite.
    """
    optimizer = make_optimizer(network, config)
    checkpoints = Checkpoints(folder, {"network": network}, optimizer, made_of)
    state = checkpoints.load(checkpoints.list_resumable()) or TrainState()
    if state.step:
        print(f"synthesise: resumes at step {state.step}, epoch {state.epoch + 1}")
    seconds = [sum(spoken.timed.frames) * frame_shift for spoken in train]
    while state.epoch < config.epochs:
        batches = plan_batches(
            seconds,
            seed=config.seed,
            epoch=state.epoch,
            batch_duration=config.batch_duration,
            buckets=SMALLEST_BATCHES,
        )
        network.train()
        with Progress(f"epoch {state.epoch + 1}/{config.epochs}", len(batches), "steps") as bar:
            bar.advance(count=state.batch)
            for batch in batches[state.batch :]:
                progress = (state.epoch + state.batch / len(batches)) / config.epochs
                _take_step(network, optimizer, config, [train[index] for index in batch], state, progress)
                bar.advance(sum(seconds[index] for index in batch))
                if state.step % CHECKPOINT_STEPS == 0 and state.batch < len(batches):
                    checkpoints.save(state)
                    checkpoints.prune(state)
        _finish_epoch(network, dev, state, len(batches))
        checkpoints.save(state)
        checkpoints.prune(state)
        write_jsonl(folder / "log.jsonl", state.log)
    return state.log


def make_optimizer(network: SpeechNetwork, config: SynthesisConfig) -> Muon:
    """Muon for the weights between hidden vectors, AdamW for the rest."""
    blocks = [*network.unit_blocks, *network.frame_blocks]
    matrices = [weight for block in blocks for weight in block.parameters() if weight.dim() > 1]
    taken = {id(weight) for weight in matrices}
    rest = [weight for weight in network.parameters() if id(weight) not in taken]
    groups = [
        {"params": matrices, "matrices": 1, "weight_decay": config.weight_decay},
        {"params": rest, "matrices": 0, "weight_decay": 0.0},
    ]
    return Muon(groups, ALONE, lr=config.learning_rate, betas=ADAMW_BETAS)


def _take_step(
    network: SpeechNetwork,
    optimizer: Muon,
    config: SynthesisConfig,
    batch: Sequence[Spoken],
    state: TrainState,
    progress: float,
) -> None:
    torch.manual_seed(config.seed * 1_000_003 + state.step)  # dropout
    schedule = TrainConfig(learning_rate=config.learning_rate, warmup_steps=config.warmup_steps)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(schedule, state.step, progress)
    optimizer.zero_grad(set_to_none=True)
    features, durations = losses(network, batch)
    loss = features + DURATION_WEIGHT * durations
    if not math.isfinite(float(loss)):
        todo = "--set synthesis.learning_rate to half"
        raise UserError(f"the loss at step {state.step} is {float(loss)}", "a number", "synthesise", todo)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()
    state.epoch_loss += float(features)
    state.step += 1
    state.batch += 1


def _finish_epoch(network: SpeechNetwork, dev: Sequence[Spoken], state: TrainState, steps: int) -> None:
    network.eval()
    with torch.no_grad():
        found = [losses(network, dev[first : first + 16]) for first in range(0, len(dev), 16)]
    features, durations = (sum(float(each[i]) for each in found) / max(1, len(found)) for i in (0, 1))
    row = {"epoch": state.epoch + 1, "loss": state.epoch_loss / steps, "dev_loss": features}
    state.log.append({**row, "dev_duration_loss": durations})
    print(
        f"synthesise: epoch {row['epoch']}: loss {row['loss']:.4f}, dev {features:.4f}, {durations:.4f}",
        flush=True,
    )
    state.start_epoch()


def losses(network: SpeechNetwork, batch: Sequence[Spoken]) -> Tuple[Tensor, Tensor]:
    """Absolute error of features per frame and bin, squared error of log durations per unit."""
    pad = nn.utils.rnn.pad_sequence
    units = pad([torch.tensor(spoken.timed.units) for spoken in batch], batch_first=True)
    frames = pad([torch.tensor(spoken.timed.frames) for spoken in batch], batch_first=True)
    counts = torch.tensor([len(spoken.timed.units) for spoken in batch])
    speakers = torch.tensor([spoken.speaker for spoken in batch])
    hidden, log_frames = network.encode(units, counts, speakers)
    predicted, lengths = network.decode(hidden, frames, speakers)
    wanted = pad([spoken.source.read() for spoken in batch], batch_first=True)
    features = (predicted - wanted).abs().sum() / (lengths.sum() * wanted.shape[2])
    inside = frames > 0
    durations = F.mse_loss(log_frames[inside], frames[inside].float().log())
    return features, durations

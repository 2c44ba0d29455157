"""Posteriors: log-probabilities of units for every frame of every utterance, in shards on disk."""

import dataclasses
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence

import torch
from torch import Tensor

from asrkit.model.acoustic import AcousticModel
from asrkit.pipeline.parallel import run_parallel
from asrkit.pipeline.progress import Progress
from asrkit.storage.tensors import load_tensors, save_tensors


@dataclasses.dataclass(frozen=True)
class Posteriors:
    """A shard: for each utterance its log-probabilities (frame, unit)."""

    log_probs: Dict[str, Tensor]
    seconds: float  # spent in the model
    audio_seconds: float


def compute_posteriors(
    model: AcousticModel,
    cuts: Sequence[Any],
    directory: Path,
    *,
    shard_utterances: int,
    batch_duration: float,
    jobs: int,
) -> List[Path]:
    """Write the posteriors of `cuts` in shards, by `jobs` processes; shards that are there already are kept.

    `batch_duration`: seconds of audio through the model at once. Returns the shards' files. The caller
    must have set torch to one thread before any work: torch's threads don't survive a fork.
    """
    ordered = sorted(cuts, key=lambda cut: (-cut.duration, cut.id))  # similar lengths together
    shards = [ordered[first : first + shard_utterances] for first in range(0, len(ordered), shard_utterances)]
    files = [directory / f"posteriors-{index:05d}.safetensors" for index in range(len(shards))]
    missing = [index for index, file in enumerate(files) if not file.exists()]
    with Progress(f"posteriors {directory.name}", len(ordered)) as bar:
        bar.advance(count=sum(len(shard) for shard in shards) - sum(len(shards[i]) for i in missing))

        def work(position: int) -> None:
            _write_shard(model, shards[missing[position]], files[missing[position]], batch_duration)

        def done(position: int, _: None) -> None:
            shard = shards[missing[position]]
            bar.advance(sum(cut.duration for cut in shard), len(shard))

        run_parallel(work, len(missing), jobs, done)
    return files


def read_posteriors(file: Path) -> Posteriors:
    """Read one shard."""
    tensors, about = load_tensors(file)
    return Posteriors(tensors, about["seconds"], about["audio_seconds"])


def _write_shard(model: AcousticModel, cuts: Sequence[Any], file: Path, batch_duration: float) -> None:
    started = time.perf_counter()
    tensors: Dict[str, Tensor] = {}
    for batch in _batches(cuts, batch_duration):
        tensors.update(zip([cut.id for cut in batch], _log_probs(model, batch)))
    audio = sum(cut.duration for cut in cuts)
    save_tensors(file, tensors, {"seconds": time.perf_counter() - started, "audio_seconds": audio})


@torch.no_grad()
def _log_probs(model: AcousticModel, cuts: Sequence[Any]) -> List[Tensor]:
    features = [model.normalise(torch.from_numpy(cut.load_features()).float()) for cut in cuts]
    lengths = torch.tensor([len(matrix) for matrix in features])
    padded = torch.nn.utils.rnn.pad_sequence(features, batch_first=True)  # (batch, time, bin)
    log_probs, frames = model(padded, lengths)
    return [row[:count].clone() for row, count in zip(log_probs, frames.tolist())]


def _batches(cuts: Sequence[Any], batch_duration: float) -> Iterator[List[Any]]:
    batch: List[Any] = []
    for cut in cuts:  # the longest comes first
        if batch and batch[0].duration * (len(batch) + 1) > batch_duration:
            yield batch
            batch = []
        batch.append(cut)
    if batch:
        yield batch

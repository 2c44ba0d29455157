"""Posteriors: log-probabilities of units per frame of every utterance, in shards on disk."""

import dataclasses
import os
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import torch
from torch import Tensor

from asrkit.decode.shards import make_shards, read_shard, write_shard
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.model.device import autocast, device_of, move
from asrkit.pipeline.cluster import LOCAL
from asrkit.pipeline.progress import Progress
from asrkit.storage.fingerprint import hash_bytes, hash_value


@dataclasses.dataclass(frozen=True)
class Posteriors:
    """A shard: log-probabilities (frame, unit) per utterance, and the encoder's output if it was stored."""

    log_probs: Dict[str, Tensor]
    encoded: Dict[str, Tensor]  # (frame, dim)
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
    model_made_of: str,
    with_encoded: bool = False,
    device: str = "cpu",
    precision: str = "float32",
    cluster: str = LOCAL,
) -> List[Path]:
    """Write the posteriors of `cuts` to shards in `directory`, with `jobs` processes; returns the shards.

    Existing shards are kept if features, settings and `model_made_of`, the fingerprint of the model and its
    code, are the same. `batch_duration`: seconds of audio per batch. `with_encoded` stores the encoder's
    output too, for the attention decoder. Raises UserError without utterances, and for NaN or infinity. The
    caller must set torch to one thread before any work: torch's threads don't survive a fork. `device`: as
    decode.device; each process has the model there, on one of several GPUs. `precision`: as
    decode.precision.
    """
    if not cuts:
        raise UserError(
            f"no utterance of {directory.name} to decode",
            expected="features of at least one",
            where=str(directory),
            todo="features/rejected.jsonl may have the reason: run.sh --stage features",
        )
    ordered = sorted(cuts, key=lambda cut: (-cut.duration, cut.id))  # similar lengths together
    shards = [ordered[first : first + shard_utterances] for first in range(0, len(ordered), shard_utterances)]
    files = [directory / f"{index:05d}.safetensors" for index in range(len(shards))]
    settings = [model_made_of, batch_duration, with_encoded, precision]
    made_of = [
        hash_value([settings, [[cut.id, hash_bytes(cut.load_features().tobytes())] for cut in shard]])
        for shard in shards
    ]
    with Progress(f"posteriors {directory.name}", len(ordered)) as bar:

        def done(index: int) -> None:
            bar.advance(sum(cut.duration for cut in shards[index]), len(shards[index]))

        def work(index: int) -> None:
            model.to(device_of(device, os.getpid()))
            torch.set_num_threads(1)  # on a worker of a cluster, which the caller isn't on
            started = time.perf_counter()
            tensors: Dict[str, Tensor] = {}
            for cut, encoded, log_probs in encode_cuts(model, shards[index], batch_duration, precision):
                tensors[f"log_probs/{cut.id}"] = _to_half(cut.id, log_probs)
                if with_encoded:
                    tensors[f"encoded/{cut.id}"] = encoded.half()
            audio = sum(cut.duration for cut in shards[index])
            seconds = time.perf_counter() - started
            about = {"made_of": made_of[index], "seconds": seconds, "audio_seconds": audio}
            write_shard(files[index], tensors, about)

        make_shards(files, work, jobs, done, made_of, cluster)
    return files


def read_posteriors(file: Path) -> Posteriors:
    """Read a shard of compute_posteriors, in single precision."""
    stored, about = read_shard(file, check=False)
    tensors: Dict[str, Dict[str, Tensor]] = {"log_probs": {}, "encoded": {}}
    for name, tensor in stored.items():
        kind, _, utterance = name.partition("/")
        tensors[kind][utterance] = tensor.float()
    return Posteriors(seconds=about["seconds"], audio_seconds=about["audio_seconds"], **tensors)


@torch.no_grad()
def encode_cuts(
    model: AcousticModel, cuts: Sequence[Any], batch_duration: float, precision: str = "float32"
) -> Iterator[Tuple[Any, Tensor, Tensor]]:
    """Each cut with the encoder's output (frame, dim) and its log-probabilities (frame, unit).

    `cuts`: the longest first; `batch_duration`: seconds of audio per batch, padding included. Computed where
    the model is, and returned on the CPU.
    """
    device = model.feature_mean.device
    for batch in _batches(cuts, batch_duration):
        read = [torch.from_numpy(cut.load_features()).float() for cut in batch]
        features = [model.normalisation(move(matrix, device)) for matrix in read]
        lengths = torch.tensor([len(matrix) for matrix in features])
        padded = torch.nn.utils.rnn.pad_sequence(features, batch_first=True)  # (batch, time, bin)
        with autocast(precision, device):
            encoded, log_probs, frames = model.encode(padded, lengths)
        for cut, states, scores, count in zip(batch, encoded.cpu(), log_probs.cpu(), frames.tolist()):
            yield cut, states[:count].clone(), scores[:count].clone()


def _batches(cuts: Sequence[Any], batch_duration: float) -> Iterator[List[Any]]:
    batch: List[Any] = []
    for cut in cuts:  # the longest comes first
        if batch and batch[0].duration * (len(batch) + 1) > batch_duration:
            yield batch
            batch = []
        batch.append(cut)
    if batch:
        yield batch


def _to_half(utterance: str, log_probs: Tensor) -> Tensor:
    """Half precision: at -20 its error is 0.008, while beams are 10 and more."""
    if not bool(torch.isfinite(log_probs).all()):
        raise UserError(
            f"the posteriors of {utterance} contain NaN or infinity",
            expected="log-probabilities",
            where="the acoustic model",
            todo="check train/log.jsonl for divergence; train with a lower train.learning_rate",
        )
    return log_probs.clamp(min=torch.finfo(torch.float16).min).half()

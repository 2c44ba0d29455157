"""Posteriors: log-probabilities of units for every frame of every utterance, in shards on disk."""

import dataclasses
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import torch
from torch import Tensor

from asrkit.decode.shards import make_shards, read_shard, write_shard
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.pipeline.progress import Progress
from asrkit.storage.fingerprint import hash_bytes, hash_value


@dataclasses.dataclass(frozen=True)
class Posteriors:
    """A shard: for each utterance its log-probabilities (frame, unit), and maybe the encoder's output."""

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
) -> List[Path]:
    """Write the posteriors of `cuts` in shards into a folder of their own, by `jobs` processes.

    Shards that are there already are kept where features, settings and `model_made_of`, which stands for the
    model and its code, are the same. `batch_duration`: seconds of audio through the model at once.
    `with_encoded`: the encoder's output, which the attention decoder reads, is written too. Returns the
    shards' files. Raises UserError without utterances, and for one whose posteriors aren't numbers. The
    caller must have set torch to one thread before any work: torch's threads don't survive a fork.
    """
    if not cuts:
        raise UserError(
            f"no utterance of {directory.name} to decode",
            expected="features of at least one",
            where=str(directory),
            todo="features/rejected.jsonl may say why: run.sh --stage features",
        )
    ordered = sorted(cuts, key=lambda cut: (-cut.duration, cut.id))  # similar lengths together
    shards = [ordered[first : first + shard_utterances] for first in range(0, len(ordered), shard_utterances)]
    files = [directory / f"{index:05d}.safetensors" for index in range(len(shards))]
    settings = [model_made_of, batch_duration, with_encoded]
    made_of = [hash_value([settings, [_hash_features(cut) for cut in shard]]) for shard in shards]
    with Progress(f"posteriors {directory.name}", len(ordered)) as bar:

        def done(index: int) -> None:
            bar.advance(sum(cut.duration for cut in shards[index]), len(shards[index]))

        def work(index: int) -> None:
            _write_shard(model, shards[index], files[index], batch_duration, with_encoded, made_of[index])

        make_shards(files, work, jobs, done, made_of)
    return files


def _hash_features(cut: Any) -> List[str]:
    return [cut.id, hash_bytes(cut.load_features().tobytes())]


def read_posteriors(file: Path) -> Posteriors:
    """Read one shard that compute_posteriors gave, in single precision."""
    stored, about = read_shard(file, check=False)
    tensors: Dict[str, Dict[str, Tensor]] = {"log_probs": {}, "encoded": {}}
    for name, tensor in stored.items():
        kind, _, utterance = name.partition("/")
        tensors[kind][utterance] = tensor.float()
    return Posteriors(seconds=about["seconds"], audio_seconds=about["audio_seconds"], **tensors)


def encode_cuts(
    model: AcousticModel, cuts: Sequence[Any], batch_duration: float
) -> Iterator[Tuple[Any, Tensor, Tensor]]:
    """Each cut, the longest of which come first, with the encoder's output (frame, dim) and its
    log-probabilities (frame, unit); `batch_duration` seconds of audio go through the model at once."""
    for batch in _batches(cuts, batch_duration):
        for cut, (encoded, log_probs) in zip(batch, _encode(model, batch)):
            yield cut, encoded, log_probs


def _write_shard(
    model: AcousticModel,
    cuts: Sequence[Any],
    file: Path,
    batch_duration: float,
    with_encoded: bool,
    made_of: str,
) -> None:
    started = time.perf_counter()
    tensors: Dict[str, Tensor] = {}
    for cut, encoded, log_probs in encode_cuts(model, cuts, batch_duration):
        tensors[f"log_probs/{cut.id}"] = _to_half(cut.id, log_probs)
        if with_encoded:
            tensors[f"encoded/{cut.id}"] = encoded.half()
    audio = sum(cut.duration for cut in cuts)
    seconds = time.perf_counter() - started
    write_shard(file, tensors, {"made_of": made_of, "seconds": seconds, "audio_seconds": audio})


def _to_half(utterance: str, log_probs: Tensor) -> Tensor:
    """Half precision: at -20 it errs by 0.008, where beams are 10 and more."""
    if not bool(torch.isfinite(log_probs).all()):
        raise UserError(
            f"the posteriors of {utterance} hold NaN or infinity",
            expected="log-probabilities",
            where="the acoustic model",
            todo="did training diverge? train/log.jsonl shows it; train with a lower train.learning_rate",
        )
    return log_probs.clamp(min=torch.finfo(torch.float16).min).half()


@torch.no_grad()
def _encode(model: AcousticModel, cuts: Sequence[Any]) -> List[Tuple[Tensor, Tensor]]:
    """The encoder's output (frame, dim) and log-probabilities (frame, unit) of each cut."""
    features = [model.normalise(torch.from_numpy(cut.load_features()).float()) for cut in cuts]
    lengths = torch.tensor([len(matrix) for matrix in features])
    padded = torch.nn.utils.rnn.pad_sequence(features, batch_first=True)  # (batch, time, bin)
    encoded, log_probs, frames = model.encode(padded, lengths)
    counts = frames.tolist()
    return [(e[:count].clone(), p[:count].clone()) for e, p, count in zip(encoded, log_probs, counts)]


def _batches(cuts: Sequence[Any], batch_duration: float) -> Iterator[List[Any]]:
    batch: List[Any] = []
    for cut in cuts:  # the longest comes first
        if batch and batch[0].duration * (len(batch) + 1) > batch_duration:
            yield batch
            batch = []
        batch.append(cut)
    if batch:
        yield batch

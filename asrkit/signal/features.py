"""Features of a split, computed in shards by several processes; a killed job loses unfinished shards only."""

import dataclasses
import os
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import lhotse
import numpy as np
import torch
from lhotse import Features, MonoCut
from lhotse.utils import compute_num_frames

from asrkit.config import flatten
from asrkit.config.recipe import FeaturesConfig
from asrkit.corpus import audio, containers
from asrkit.corpus.audio import AudioProblem
from asrkit.corpus.cuts import iterate_cuts
from asrkit.corpus.rejection import Rejection
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.parallel import run_parallel
from asrkit.signal.audio import change_speed, read_samples, resample
from asrkit.signal.filterbank import FilterBank
from asrkit.signal.shard import STORAGE_TYPE, write_shard
from asrkit.storage.files import read_json, remove, write_checked_json
from asrkit.storage.fingerprint import hash_file, hash_value

# A shard made by other code is computed again.
CODE = [Path(__file__).with_name(f"{name}.py") for name in ("audio", "features", "filterbank", "shard")]
CODE += [Path(str(module.__file__)) for module in (audio, containers)]  # which read the samples


@dataclasses.dataclass(frozen=True)
class Shard:
    """Some utterances of a split, whose features lie in one file."""

    split: str
    number: int
    cuts: Sequence[MonoCut]  # as in the manifests, before speed perturbation
    speeds: Sequence[float]
    key: str  # of all that its content depends on

    @property
    def name(self) -> str:
        """Of its files, below features/shards."""
        return f"{self.split}-{self.number:05d}"


def load_cuts(experiment: Experiment, split: str) -> Iterator[MonoCut]:
    """The cuts of a split with features attached, ready for cut.load_features()."""
    return iterate_cuts(
        experiment.folder("features") / f"{split}_cuts.jsonl.gz", experiment, with_features=True
    )


def plan_shards(split: str, cuts: Sequence[MonoCut], config: FeaturesConfig, train: bool) -> List[Shard]:
    """Cut a split into shards; training cuts get a copy at each of config.speed_factors."""
    speeds = tuple(config.speed_factors) if train else (1.0,)
    settings = {name: value for name, value in flatten(config).items() if name != "speed_factors"}
    settings["versions"] = [lhotse.__version__, torch.__version__]
    settings["code"] = [hash_file(file) for file in CODE]
    shards: List[Shard] = []
    size = config.shard_utterances
    for number, first in enumerate(range(0, len(cuts), size)):
        of_shard = cuts[first : first + size]
        stamps = [_stamp(source) for source in dict.fromkeys(_source(cut) for cut in of_shard)]
        key = hash_value([settings, speeds, stamps, [_content(cut) for cut in of_shard]])
        shards.append(Shard(split, number, of_shard, speeds, key))
    return shards


def _content(cut: MonoCut) -> Dict[str, Any]:
    """What a cut's features depend on: its samples, by their hash, and not where they lie."""
    row: Dict[str, Any] = cut.to_dict()
    row["recording"]["sources"] = []
    return row


def _source(cut: MonoCut) -> Path:
    return Path(cut.recording.sources[0].source)


def _stamp(file: Path) -> List[int]:
    """Size and time of an audio file, so that one changed since stage manifests is read again."""
    try:
        status = file.stat()
        return [status.st_size, status.st_mtime_ns]
    except OSError:
        return []


def compute_shards(
    shards: Sequence[Shard],
    config: FeaturesConfig,
    directory: Path,
    jobs: int,
    done: Callable[[Shard, float], None],
    named: Callable[[str], str] = str,
) -> None:
    """Write the features of the shards that aren't there yet, and delete those of other settings.

    `done` is called after each shard with the seconds of audio computed, 0 for one that was there; `named`
    gives the name that an audio file has in manifests.
    For each shard: directory/shards/NAME.i16 and, last, NAME.json with the cuts, the rejected
    utterances and the sums for normalisation. The bytes don't depend on `jobs`.
    """
    folder = directory / "shards"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{shard.name}{suffix}" for shard in shards for suffix in (".i16", ".json")}
    for file in folder.iterdir():
        if file.name not in wanted:
            remove(file)
    missing = []
    for shard in shards:
        if _is_finished(shard, folder):
            done(shard, 0.0)
        else:
            missing.append(shard)

    def work(index: int) -> float:
        torch.set_num_threads(1)  # processes are the parallelism here, and bits don't depend on their number
        return _compute_shard(missing[index], config, folder, named)

    run_parallel(work, len(missing), jobs, lambda index, seconds: done(missing[index], seconds))


def read_shard(shard: Shard, directory: Path) -> Dict[str, Any]:
    """The record of a finished shard: cuts, rejected, frames, sum, sum_of_squares."""
    record: Dict[str, Any] = read_json(directory / "shards" / f"{shard.name}.json")
    return record


def _is_finished(shard: Shard, folder: Path) -> bool:
    """Whether a shard is there, undamaged and made of this; a damaged one is reported."""
    file = folder / f"{shard.name}.json"
    try:
        record = read_json(file, checked=True)
        if record.get("made_of") != shard.key:
            return False
        if record["features"] == hash_file(file.with_suffix(".i16")):
            return True
        damage = "its features changed"
    except (OSError, UserError) as error:
        if not os.path.lexists(file):
            return False
        damage = str(error).splitlines()[0]
    print(f"features: {shard.name} is damaged ({damage}); it is computed again", flush=True)
    return False


def _compute_shard(shard: Shard, config: FeaturesConfig, folder: Path, named: Callable[[str], str]) -> float:
    """Write one shard; gives the seconds of audio in it."""
    bank = FilterBank(config)
    cuts: List[MonoCut] = []
    matrices: List[np.ndarray] = []
    rejected: List[Rejection] = []
    for cut in shard.cuts:
        try:
            computed = _features_of(cut, shard.speeds, bank)
        except AudioProblem as problem:
            rejected.append(Rejection(cut.id, shard.split, problem.kind, problem.detail))
            continue
        for copy, matrix in computed:
            cuts.append(copy)
            matrices.append(matrix)
    file = folder / f"{shard.name}.i16"
    keys = write_shard(file, matrices)
    path = f"features/shards/{file.name}"
    rows = [
        feature_row(cut, len(matrix), key, path, config, named)
        for cut, matrix, key in zip(cuts, matrices, keys)
    ]
    record = {
        "made_of": shard.key,
        "features": hash_file(file),
        "rejected": [dataclasses.asdict(rejection) for rejection in rejected],
        **_sums(matrices, config.bins),
        "cuts": rows,
    }
    write_checked_json(folder / f"{shard.name}.json", record)
    return sum(copy.duration for copy in cuts)


def _features_of(
    cut: MonoCut, speeds: Sequence[float], bank: FilterBank
) -> Iterator[Tuple[MonoCut, np.ndarray]]:
    """The cut at each speed with its features; raises AudioProblem before the first of them or never."""
    copies = []
    for copy, samples in read_speed_perturbed(cut, speeds, bank.config.sampling_rate):
        matrix = bank.extract_steps(samples)
        frames = compute_num_frames(copy.duration, bank.config.frame_shift, copy.sampling_rate)
        if len(matrix) == 0 or len(matrix) != frames:
            found = f"found {len(matrix)} in {copy.duration:.4f} s, expected {frames}"
            raise AudioProblem("wrong number of frames", found)
        copies.append((copy, matrix))
    return iter(copies)


def speed_perturbed_id(id: str, speed: float) -> str:
    """The id that lhotse gives to the copy of a cut at a speed."""
    return id if speed == 1.0 else f"{id}_sp{speed}"


def read_speed_perturbed(
    cut: MonoCut, speeds: Sequence[float], new_rate: int
) -> Iterator[Tuple[MonoCut, np.ndarray]]:
    """The cut at each speed with its samples at `new_rate` Hz; raises AudioProblem before the first."""
    rate = cut.sampling_rate
    samples = read_samples(_source(cut), round(cut.start * rate), cut.num_samples)
    if len(samples) == 0 or samples.min() == samples.max():
        raise AudioProblem("silence", f"all {len(samples)} samples are the same")
    # In two steps, since the ratio of the rates times the speed may be one of large numbers, which is slow.
    samples = resample(samples, rate, new_rate)
    for speed in speeds:
        copy = speed_perturbed(cut, speed, new_rate)
        yield copy, _fit(change_speed(samples, new_rate, speed), copy.num_samples)


def speed_perturbed(cut: MonoCut, speed: float, new_rate: int) -> MonoCut:
    """The cut at a speed and a sampling rate in Hz, without its samples."""
    copy = cut if cut.sampling_rate == new_rate else cut.resample(new_rate)
    return copy if speed == 1.0 else copy.perturb_speed(speed)


def _fit(samples: np.ndarray, count: int) -> np.ndarray:
    """Exactly `count` samples: lhotse rounds a length otherwise than resampling does, by a sample or two."""
    if len(samples) >= count:
        return samples[:count]
    return np.pad(samples, (0, count - len(samples)))


def feature_row(
    cut: MonoCut,
    frames: int,
    key: str,
    path: str,
    config: FeaturesConfig,
    named: Callable[[str], str] = str,
) -> Dict[str, Any]:
    """The cut's row of a manifest, its features being those under `key` of the shard at `path`."""
    features = Features(
        type="kaldi-fbank",
        num_frames=frames,
        num_features=config.bins,
        frame_shift=config.frame_shift,
        sampling_rate=config.sampling_rate,
        start=cut.start,
        duration=cut.duration,
        storage_type=STORAGE_TYPE,
        storage_path=path,
        storage_key=key,
        recording_id=cut.recording.id,
        channels=cut.channel,
    )
    row: Dict[str, Any] = dataclasses.replace(cut, features=features).to_dict()
    for source in row["recording"]["sources"]:
        source["source"] = named(source["source"])
    return row


def _sums(matrices: Sequence[np.ndarray], bins: int) -> Dict[str, Any]:
    """Sums of features and their squares in int16 steps: whole numbers, so exact in any order."""
    total = np.zeros(bins, dtype=np.int64)
    squares = np.zeros(bins, dtype=np.int64)
    for matrix in matrices:
        wide = matrix.astype(np.int64)
        total += wide.sum(axis=0)
        squares += (wide * wide).sum(axis=0)
    frames = sum(len(matrix) for matrix in matrices)
    return {"frames": frames, "sum": total.tolist(), "sum_of_squares": squares.tolist()}

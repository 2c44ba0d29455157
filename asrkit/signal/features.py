"""Log-Mel features of splits, computed in shards by several processes.

    features/shards/train-00000.i16    features of some utterances: see asrkit.signal.shard
    features/shards/train-00000.json   their cuts, rejections and sums; written last
    features/train_cuts.jsonl.gz       the cuts of all shards of a split

A killed run loses only unfinished shards.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import lhotse
import numpy as np
import torch
from lhotse import Features, MonoCut
from lhotse.utils import compute_num_frames

from asrkit.config import flatten
from asrkit.config.recipe import FeaturesConfig, RecipeConfig
from asrkit.corpus import audio, containers
from asrkit.corpus.audio import AudioProblem
from asrkit.corpus.cuts import iterate_cuts
from asrkit.corpus.rejection import Rejection, list_rejections
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.inputs import audio_source
from asrkit.pipeline.parallel import run_parallel
from asrkit.pipeline.progress import Progress
from asrkit.signal.audio import read_samples, resample
from asrkit.signal.filterbank import FilterBank
from asrkit.signal.shard import STORAGE_TYPE, write_shard
from asrkit.storage.files import jsonl_gz_writer, read_json, remove, write_checked_json
from asrkit.storage.fingerprint import hash_file, hash_value

# A shard computed by other code is recomputed
PARTS = ("audio", "features", "filterbank", "shard", "steps")
CODE = [Path(__file__).with_name(f"{name}.py") for name in PARTS]
CODE += [Path(str(module.__file__)) for module in (audio, containers)]  # which read the samples


@dataclasses.dataclass(frozen=True)
class Shard:
    """Utterances of a split whose features are in one file."""

    split: str
    number: int
    cuts: Sequence[MonoCut]  # as in the manifests, before speed perturbation
    speeds: Sequence[float]
    key: str  # fingerprint of all that the content depends on

    @property
    def name(self) -> str:
        """Stem of its files in features/shards."""
        return f"{self.split}-{self.number:05d}"

    def __len__(self) -> int:
        """Number of utterances, speed-perturbed ones included."""
        return len(self.cuts) * len(self.speeds)


def load_cuts(experiment: Experiment, split: str) -> Iterator[MonoCut]:
    """The cuts of a split with features attached, ready for cut.load_features()."""
    file = experiment.folder("features") / f"{split}_cuts.jsonl.gz"
    return iterate_cuts(file, experiment, with_features=True)


def plan_shards(split: str, cuts: Sequence[MonoCut], recipe: RecipeConfig, train: bool) -> List[Shard]:
    """Divide a split into one or more shards; training cuts occur at each of features.speed_factors."""
    config = recipe.features
    speeds = tuple(config.speed_factors) if train else (1.0,)
    settings = {name: value for name, value in flatten(config).items() if name != "speed_factors"}
    settings["versions"] = [lhotse.__version__, torch.__version__]
    settings.update(flatten(recipe.signal))
    settings["code"] = [hash_file(file) for file in CODE]
    shards: List[Shard] = []
    for number, first in enumerate(range(0, max(1, len(cuts)), config.shard_utterances)):
        group = cuts[first : first + config.shard_utterances]
        stamps = [_stamp(file) for file in dict.fromkeys(map(_audio_file, group))]
        key = hash_value([settings, speeds, stamps, [_content(cut) for cut in group]])
        shards.append(Shard(split, number, group, speeds, key))
    return shards


def _content(cut: MonoCut) -> Dict[str, Any]:
    """What the features of a cut depend on: its samples, by their hash, and not the path of their file."""
    row: Dict[str, Any] = cut.to_dict()
    row["recording"]["sources"] = []
    return row


def _audio_file(cut: MonoCut) -> Path:
    return Path(cut.recording.sources[0].source)


def _stamp(file: Path) -> List[int]:
    """Size and time of an audio file, so that one changed since stage manifests is read again."""
    try:
        status = file.stat()
        return [status.st_size, status.st_mtime_ns]
    except OSError:
        return []


def compute_shards(experiment: Experiment, shards: Sequence[Shard]) -> None:
    """Write the shards that are missing or outdated, and delete all others.

    The bytes don't depend on the number of processes.
    """
    folder = experiment.folder("features") / "shards"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{shard.name}{suffix}" for shard in shards for suffix in (".i16", ".json")}
    for file in folder.iterdir():
        if file.name not in wanted:
            remove(file)
    missing = [shard for shard in shards if not _is_finished(shard, folder)]

    def work(shard: Shard) -> float:
        torch.set_num_threads(1)  # there is a process per core, and results don't depend on their number
        return _compute_shard(shard, experiment, folder)

    with Progress("features", sum(map(len, shards))) as bar:
        bar.advance(count=sum(map(len, shards)) - sum(map(len, missing)))
        run_parallel(
            work,
            missing,
            experiment.jobs,
            lambda index, seconds: bar.advance(seconds, len(missing[index])),
            experiment.cluster,
        )


def _is_finished(shard: Shard, folder: Path) -> bool:
    """Whether a shard is present, intact and up to date; reports a damaged one."""
    file = folder / f"{shard.name}.json"
    if not os.path.lexists(file):
        return False
    try:
        record = read_json(file, checked=True)
        if record.get("made_of") != shard.key:
            return False
        if record["features"] == hash_file(file.with_suffix(".i16")):
            return True
        damage = "its features changed"
    except (OSError, UserError) as error:
        damage = str(error).splitlines()[0]
    print(f"features: {shard.name} is damaged ({damage}); it is recomputed", flush=True)
    return False


def _compute_shard(shard: Shard, experiment: Experiment, folder: Path) -> float:
    """Write one shard; returns its seconds of audio."""
    config = experiment.config.features
    bank = FilterBank(config, experiment.config.signal.steps)
    computed: List[Tuple[MonoCut, np.ndarray]] = []
    rejected: List[Rejection] = []
    for cut in shard.cuts:
        try:
            computed += list(_compute_features(cut, shard.speeds, bank))
        except AudioProblem as problem:
            rejected.append(Rejection(cut.id, shard.split, problem.kind, problem.detail))
    file = folder / f"{shard.name}.i16"
    matrices = [matrix for _, matrix in computed]
    rows = []
    for (cut, matrix), key in zip(computed, write_shard(file, matrices)):
        row = feature_row(cut, len(matrix), key, f"features/shards/{file.name}", config)
        for source in row["recording"]["sources"]:
            source["source"] = audio_source(Path(source["source"]), experiment)
        rows.append(row)
    record = {
        "made_of": shard.key,
        "features": hash_file(file),
        "rejected": [dataclasses.asdict(rejection) for rejection in rejected],
        **_sums(matrices, config.bins),
        "cuts": rows,
    }
    write_checked_json(folder / f"{shard.name}.json", record)
    return sum(cut.duration for cut, _ in computed)


def _compute_features(
    cut: MonoCut, speeds: Sequence[float], bank: FilterBank
) -> Iterator[Tuple[MonoCut, np.ndarray]]:
    """The cut at each speed with its features (time, bin) in steps; raises AudioProblem."""
    for perturbed, samples in read_speed_perturbed(cut, speeds, bank.config.sampling_rate):
        matrix = bank.extract_steps(samples)
        frames = compute_num_frames(perturbed.duration, bank.config.frame_shift, perturbed.sampling_rate)
        if len(matrix) == 0 or len(matrix) != frames:
            found = f"found {len(matrix)} in {perturbed.duration:.4f} s, expected {frames}"
            raise AudioProblem("wrong number of frames", found)
        yield perturbed, matrix


def speed_perturbed_id(id: str, speed: float) -> str:
    """The id that lhotse gives to a cut at another speed."""
    return id if speed == 1.0 else f"{id}_sp{speed}"


def read_speed_perturbed(
    cut: MonoCut, speeds: Sequence[float], new_rate: int
) -> Iterator[Tuple[MonoCut, np.ndarray]]:
    """The cut at each speed with its samples (sample,) at `new_rate` Hz; raises AudioProblem."""
    rate = cut.sampling_rate
    samples = read_samples(_audio_file(cut), round(cut.start * rate), cut.num_samples)
    if len(samples) == 0 or samples.min() == samples.max():
        raise AudioProblem("silence", f"all {len(samples)} samples are the same")
    # In two steps, since the ratio of rates times the speed may have a large denominator, which is slow
    samples = resample(samples, rate, new_rate)
    for speed in speeds:
        perturbed = speed_perturbed(cut, speed, new_rate)
        count = perturbed.num_samples  # lhotse's rounding may differ from resampling's by a sample or two
        changed = resample(samples, round(new_rate * speed), new_rate)[:count]  # as with `sox speed`
        yield perturbed, np.pad(changed, (0, count - len(changed)))


def speed_perturbed(cut: MonoCut, speed: float, new_rate: int) -> MonoCut:
    """The cut at another speed and sampling rate in Hz, without samples."""
    resampled = cut if cut.sampling_rate == new_rate else cut.resample(new_rate)
    return resampled if speed == 1.0 else resampled.perturb_speed(speed)


def feature_row(cut: MonoCut, frames: int, key: str, path: str, config: FeaturesConfig) -> Dict[str, Any]:
    """The manifest row of a cut whose features are under `key` of the shard at `path`."""
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
    return row


def _sums(matrices: Sequence[np.ndarray], bins: int) -> Dict[str, Any]:
    """Sums per bin of features and their squares in int16 steps: integers, so exact in any order."""
    total, squares = np.zeros((2, bins), dtype=np.int64)
    for matrix in matrices:
        wide = matrix.astype(np.int64)
        total += wide.sum(axis=0)
        squares += (wide * wide).sum(axis=0)
    frames = sum(len(matrix) for matrix in matrices)
    return {"frames": frames, "sum": total.tolist(), "sum_of_squares": squares.tolist()}


def join_shards(
    experiment: Experiment, shards: Sequence[Shard]
) -> Tuple[List[Rejection], Dict[str, List[Dict[str, Any]]]]:
    """Write {split}_cuts.jsonl.gz and rejected.jsonl.

    Returns the rejections and, by split, the records of its shards without their cuts: only one shard's
    cuts are in memory at a time.
    """
    folder = experiment.folder("features")
    rejections: List[Rejection] = []
    sums: Dict[str, List[Dict[str, Any]]] = {shard.split: [] for shard in shards}
    for split, records in sums.items():
        count, seconds = 0, 0.0
        with jsonl_gz_writer(folder / f"{split}_cuts.jsonl.gz") as write:
            for shard in [shard for shard in shards if shard.split == split]:
                record = read_json(folder / "shards" / f"{shard.name}.json")
                rejections += [Rejection(**row) for row in record["rejected"]]
                for row in record.pop("cuts"):
                    write(row)
                    count, seconds = count + 1, seconds + row["duration"]
                records.append(record)
        print(f"{split}: {count} cuts, {seconds / 3600:.3f} h, {experiment.config.features.bins} bins")
    list_rejections(folder / "rejected.jsonl", rejections, experiment.config.corpus.tests)
    return rejections, sums

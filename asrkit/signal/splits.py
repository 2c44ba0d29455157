"""Features of whole splits: their shards planned, computed and joined."""

from pathlib import Path
from typing import Any, Dict, List, Tuple

from asrkit.corpus.manifests import read_cuts
from asrkit.corpus.rejection import Rejection, list_rejections, refuse_too_many
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.inputs import audio_source
from asrkit.pipeline.progress import Progress
from asrkit.signal.features import Shard, compute_shards, plan_shards, read_shard
from asrkit.signal.normalisation import write_normalisation
from asrkit.storage.files import jsonl_gz_writer


def plan_splits(experiment: Experiment) -> Tuple[List[Shard], Dict[str, int]]:
    """The shards of all splits, and the number of cuts of each split."""
    corpus, config = experiment.config.corpus, experiment.config.features
    shards: List[Shard] = []
    totals: Dict[str, int] = {}
    for name in dict.fromkeys([corpus.train, corpus.dev, *corpus.tests]):
        cuts = list(read_cuts(experiment, name))
        for rate in sorted({cut.sampling_rate for cut in cuts} - {config.sampling_rate}):
            print(f"{name}: audio of {rate} Hz is resampled to {config.sampling_rate} Hz")
        shards += plan_shards(name, cuts, config, train=name == corpus.train)
        totals[name] = len(cuts)
    return shards, totals


def compute(experiment: Experiment, shards: List[Shard]) -> None:
    """Write the shards that aren't there yet."""
    copies = sum(len(shard.cuts) * len(shard.speeds) for shard in shards)
    with Progress("features", copies) as bar:

        def done(shard: Shard, seconds: float) -> None:
            bar.advance(seconds, len(shard.cuts) * len(shard.speeds))

        def named(source: str) -> str:
            return audio_source(Path(source), experiment)

        compute_shards(
            shards, experiment.config.features, experiment.folder("features"), experiment.jobs, done, named
        )


def assemble(experiment: Experiment, shards: List[Shard], totals: Dict[str, int]) -> None:
    """Join the records of shards to cuts, rejections and normalisation; UserError for too many rejections."""
    corpus = experiment.config.corpus
    rejections, sums = join_shards(experiment, shards, list(totals))
    refuse_too_many(
        rejections, totals, corpus.max_bad_fraction, experiment.folder("features") / "rejected.jsonl"
    )
    write_normalisation(experiment.folder("features") / "normalisation.safetensors", sums[corpus.train])


def join_shards(
    experiment: Experiment, shards: List[Shard], names: List[str]
) -> Tuple[List[Rejection], Dict[str, List[Dict[str, Any]]]]:
    """Write each split's cuts, in the order of its shards, and rejected.jsonl; gives the rejections, and the
    shards' records by split, without their cuts: those of one shard are in memory at a time.
    """
    rejections: List[Rejection] = []
    sums: Dict[str, List[Dict[str, Any]]] = {name: [] for name in names}
    for name in names:
        count, seconds = 0, 0.0
        with jsonl_gz_writer(experiment.folder("features") / f"{name}_cuts.jsonl.gz") as write:
            for shard in [shard for shard in shards if shard.split == name]:
                record = read_shard(shard, experiment.folder("features"))
                rejections += [Rejection(**row) for row in record["rejected"]]
                for row in record.pop("cuts"):
                    write(row)
                    count, seconds = count + 1, seconds + row["duration"]
                sums[name].append(record)
        print(f"{name}: {count} cuts, {seconds / 3600:.3f} h, {experiment.config.features.bins} bins")
    list_rejections(
        experiment.folder("features") / "rejected.jsonl", rejections, experiment.config.corpus.tests
    )
    return rejections, sums

"""Features of whole splits: plan their shards, and join them."""

from typing import Any, Dict, List, Sequence, Tuple

from asrkit.corpus.manifests import read_cuts
from asrkit.corpus.rejection import Rejection, list_rejections, refuse_too_many
from asrkit.pipeline.experiment import Experiment
from asrkit.signal.features import Shard, plan_shards
from asrkit.signal.normalisation import write_normalisation
from asrkit.storage.files import jsonl_gz_writer, read_json


def plan_splits(experiment: Experiment) -> List[Shard]:
    """The shards of all splits."""
    corpus, config = experiment.config.corpus, experiment.config.features
    shards: List[Shard] = []
    for split in dict.fromkeys([corpus.train, corpus.dev, *corpus.tests]):
        cuts = list(read_cuts(experiment, split))
        for rate in sorted({cut.sampling_rate for cut in cuts} - {config.sampling_rate}):
            print(f"{split}: audio of {rate} Hz is resampled to {config.sampling_rate} Hz")
        shards += plan_shards(split, cuts, config, train=split == corpus.train)
    return shards


def assemble(experiment: Experiment, shards: Sequence[Shard]) -> None:
    """Join shards into cuts, rejections and normalisation; raises UserError for too many rejections."""
    corpus, folder = experiment.config.corpus, experiment.folder("features")
    rejections, sums = join_shards(experiment, shards)
    totals = {split: sum(len(shard.cuts) for shard in shards if shard.split == split) for split in sums}
    refuse_too_many(rejections, totals, corpus.max_bad_fraction, folder / "rejected.jsonl")
    write_normalisation(folder / "normalisation.safetensors", sums[corpus.train])


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

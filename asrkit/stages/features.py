"""Stage features: log-Mel features of all splits, and their mean and standard deviation in training."""

from typing import TYPE_CHECKING, List, Sequence, Tuple

from asrkit.config import RecipeConfig
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage

if TYPE_CHECKING:
    from asrkit.signal.features import Shard

STAGE = Stage(
    name="features",
    purpose="log-Mel features, training audio at several speeds",
    reads=("manifests/{split}_cuts.jsonl.gz", "audio of manifests/{split}_cuts.jsonl.gz"),
    writes=("features",),
    result=("features", "signal", "corpus.train", "corpus.dev", "corpus.tests"),
    how=("features.shard_utterances", "corpus.max_bad_fraction", "corpus.train_sets", "corpus.dev_sets"),
    libraries=("torch", "lhotse"),
)


def check(config: RecipeConfig) -> None:
    """Raise UserError for a step of signal.steps whose package isn't installed."""
    from asrkit.signal.steps import require_packages

    require_packages(config.signal.steps)


def features_of(*splits: str) -> Tuple[str, ...]:
    """Patterns for the cuts and features of these splits, so that changes of other splits don't matter."""
    return tuple(
        pattern
        for split in splits
        for pattern in (f"features/{split}_cuts.jsonl.gz", f"features/shards/{split}-[0-9]*.i16")
    )


def run(experiment: Experiment) -> None:
    """Write features/; raises UserError if too much audio is unusable."""
    from asrkit.corpus.manifests import read_cuts
    from asrkit.signal.features import compute_shards, plan_shards

    corpus, config = experiment.config.corpus, experiment.config.features
    shards: List[Shard] = []
    for split in dict.fromkeys([corpus.train, corpus.dev, *corpus.tests]):
        cuts = list(read_cuts(experiment, split))
        for rate in sorted({cut.sampling_rate for cut in cuts} - {config.sampling_rate}):
            print(f"{split}: audio of {rate} Hz is resampled to {config.sampling_rate} Hz")
        shards += plan_shards(split, cuts, experiment.config, train=split == corpus.train)
    compute_shards(experiment, shards)
    assemble(experiment, shards)


def assemble(experiment: Experiment, shards: Sequence["Shard"]) -> None:
    """Join shards into cuts, rejections and normalisation; raises UserError for too many rejections."""
    from asrkit.corpus.rejection import refuse_too_many
    from asrkit.signal.features import join_shards
    from asrkit.signal.normalisation import write_normalisation

    corpus, folder = experiment.config.corpus, experiment.folder("features")
    rejections, sums = join_shards(experiment, shards)
    totals = {split: sum(len(shard.cuts) for shard in shards if shard.split == split) for split in sums}
    refuse_too_many(rejections, totals, corpus.max_bad_fraction, folder / "rejected.jsonl")
    write_normalisation(folder / "normalisation.safetensors", sums[corpus.train])

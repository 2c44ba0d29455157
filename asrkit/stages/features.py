"""Stage features: log-Mel features of all splits, and their mean and variance in training."""

from typing import Tuple

from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage

STAGE = Stage(
    name="features",
    purpose="log-Mel features, training audio at several speeds",
    reads=("manifests/{split}_cuts.jsonl.gz", "audio of manifests/{split}_cuts.jsonl.gz"),
    writes=("features",),
    result=("features", "corpus.train", "corpus.dev", "corpus.tests"),
    how=("features.shard_utterances", "corpus.max_bad_fraction", "corpus.train_sets", "corpus.dev_sets"),
    libraries=("torch", "lhotse"),
)


def features_of(*splits: str) -> Tuple[str, ...]:
    """Patterns for the cuts and features of these splits, so that changes of other splits don't matter."""
    return tuple(
        pattern
        for split in splits
        for pattern in (f"features/{split}_cuts.jsonl.gz", f"features/shards/{split}-[0-9]*.i16")
    )


def run(experiment: Experiment) -> None:
    """Write features/; raises UserError if too much audio is unusable."""
    from asrkit.signal.features import compute_shards
    from asrkit.signal.splits import assemble, plan_splits

    shards = plan_splits(experiment)
    compute_shards(experiment, shards)
    assemble(experiment, shards)

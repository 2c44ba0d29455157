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
    """Patterns of some splits' cuts and stored features, so that a change in another one doesn't matter."""
    return tuple(
        pattern
        for split in splits
        for pattern in (f"features/{split}_cuts.jsonl.gz", f"features/shards/{split}-[0-9]*.i16")
    )


def run(experiment: Experiment) -> None:
    """Write features/; raises UserError when too much audio turns out to be unusable."""
    from asrkit.signal.splits import assemble, compute, plan_splits

    shards, totals = plan_splits(experiment)
    compute(experiment, shards)
    assemble(experiment, shards, totals)

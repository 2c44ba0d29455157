"""Stage align: durations of units by the recogniser's forced alignment, for stage synthesise."""

from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage
from asrkit.stages import units
from asrkit.stages.features import features_of

SPLITS = ("{train}", "{dev}")

STAGE = Stage(
    name="align",
    purpose="durations of units, by the recogniser's forced alignment",
    reads=(
        "average/model.safetensors",
        *features_of(*SPLITS),
        *(f"audio of manifests/{split}_cuts.jsonl.gz" for split in SPLITS),
        *units.STAGE.writes,
    ),
    writes=(*(f"align/{split}.jsonl.gz" for split in SPLITS), "align/rejected.jsonl"),
    result=("features.sampling_rate", "features.speed_factors", "corpus.train", "corpus.dev"),
    how=("decode.batch_duration", "corpus.max_bad_fraction"),
    libraries=("torch", "lhotse"),
    version=2,  # 2: times at 22,050 and 11,025 Hz
)


def run(experiment: Experiment) -> None:
    """Write align/."""
    from asrkit.synthesis.align import align_splits

    align_splits(experiment)

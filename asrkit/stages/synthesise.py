"""Stage synthesise: a residual network that speaks, judged by the recipe's own recogniser."""

from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage
from asrkit.stages import align, units
from asrkit.stages.features import features_of

STAGE = Stage(
    name="synthesise",
    purpose="train a residual network that speaks; word errors of what it says",
    reads=(
        *align.STAGE.writes,
        "features/normalisation.safetensors",
        *features_of("{train}", "{dev}"),
        *units.STAGE.writes,
        "manifests/{test}_supervisions.jsonl.gz",
        *("average/model.safetensors", "decode/scales.json?"),
    ),
    writes=("synthesise",),
    result=("synthesis", "features", "score", "corpus.train", "corpus.dev", "corpus.tests"),
    how=("train.threads",),
    libraries=("torch", "lhotse"),
)


def run(experiment: Experiment) -> None:
    """Write synthesise/."""
    from asrkit.synthesis.session import synthesise

    synthesise(experiment)

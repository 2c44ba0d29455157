"""Stage show: one page of results, curves and errors, with a browser of utterances."""

from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.pipeline.stage import Stage
from asrkit.stages.decode import decoded
from asrkit.stages.score import KINDS

PAGE = "show/index.html"

STAGE = Stage(
    name="show",
    purpose="a page of results, curves and errors, with a browser of utterances",
    reads=(
        *("results.json", "score", "train/log.jsonl", "decode/scales.json"),
        *decoded("{test}"),
        *(f"manifests/{{test}}_{kind}.jsonl.gz" for kind in KINDS),
        *("manifests/{train}_supervisions.jsonl.gz", "units/units.txt", "units/words.txt"),
        "audio of manifests/{test}_cuts.jsonl.gz",
        "synthesise/{test}.jsonl?",
    ),
    writes=(PAGE,),
    libraries=("torch", "lhotse"),
)


def run(experiment: Experiment) -> None:
    """Write show/index.html."""
    from asrkit.show.page import show

    trained = open_experiment(experiment.directory)  # with the settings that its stages were run with
    file = experiment.folder("show") / "index.html"
    show(file, {trained.config.name: trained}, shown_as=experiment.directory / PAGE)

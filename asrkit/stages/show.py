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
    ),
    writes=(PAGE,),
    libraries=("torch", "lhotse"),
)


def run(experiment: Experiment) -> None:
    """Write show/index.html."""
    from asrkit.show.data import collect
    from asrkit.show.page import write_page

    trained = open_experiment(experiment.directory)  # with the settings that its stages were run with
    page = collect({trained.config.name: trained})
    for note in page.main["notes"]:
        print(f"show: {note}")
    file = experiment.folder("show") / "index.html"
    size = write_page(file, page)
    shown = page.main["sampling"]
    print(f"show: {shown['shown']} of {shown['all']} utterances, {size / 1e6:.1f} MB; open it in a browser:")
    print(f"show: {experiment.directory / PAGE}")

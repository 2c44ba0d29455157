"""Stage score: count errors, with confidence intervals, and write the results."""

from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage
from asrkit.stages.decode import decoded

KINDS = ("supervisions", "cuts")

STAGE = Stage(
    name="score",
    purpose="count errors, with confidence intervals, and write the results",
    reads=(
        *decoded("{dev}", "{test}"),
        *(f"manifests/{split}_{kind}.jsonl.gz" for split in ("{dev}", "{test}") for kind in KINDS),
        *("units/units.txt", "units/lexicon.txt", "manifests/statistics.json"),
        *("manifests/rejected.jsonl?", "features/rejected.jsonl?"),
    ),
    writes=("score", "results.json", "RESULTS.md"),
    result=("score", "decode.methods", "corpus.dev", "corpus.tests", "name"),
    version=2,  # 1 counted letters of words that a lexicon of marked phones lacks as units
)


def run(experiment: Experiment) -> None:
    """Write score/, results.json and RESULTS.md."""
    from asrkit.score.splits import score_all

    score_all(experiment)

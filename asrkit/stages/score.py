"""Stage score: count errors, with confidence intervals, and write the results."""

import importlib.util

from asrkit.config import RecipeConfig
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage
from asrkit.stages.decode import decoded
from asrkit.train.earlier_training import FILE as TRAINED_BEFORE

KINDS = ("supervisions", "cuts")

STAGE = Stage(
    name="score",
    purpose="count errors, with confidence intervals, and write the results",
    reads=(
        *decoded("{dev}", "{test}"),
        *(f"manifests/{split}_{kind}.jsonl.gz" for split in ("{dev}", "{test}") for kind in KINDS),
        *("units/units.txt", "units/lexicon.txt", "manifests/statistics.json"),
        *("manifests/rejected.jsonl?", "features/rejected.jsonl?", f"train/{TRAINED_BEFORE}?"),
    ),
    writes=("score", "results.json", "RESULTS.md"),
    result=("score", "decode.methods", "corpus.dev", "corpus.tests", "name"),
    how=("train.init_from",),  # for trainings that haven't kept what that model was trained on
    version=2,  # 2: with word-start marks, an out-of-vocabulary word is one unit, not one per letter
)


def check(config: RecipeConfig) -> None:
    """Raise UserError if score.normalise has digits and the package for the corpus's script is missing."""
    packages = {"spaced": ("text_to_num",), "characters": ("cn2an",), "mixed": ("text_to_num", "cn2an")}
    for package in packages[config.corpus.words] if "digits" in config.score.normalise else ():
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"the package {package} is missing",
                expected="the extra [use], for numbers in digits",
                where="score.normalise",
                todo="pip install -e '.[use]', or leave digits out of score.normalise",
            )


def run(experiment: Experiment) -> None:
    """Write score/, results.json and RESULTS.md."""
    from asrkit.score.splits import score_all

    score_all(experiment)

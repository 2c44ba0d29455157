"""Stage lm: the n-gram language model, and optionally a larger and a neural one for rescoring."""

from asrkit.config import RecipeConfig
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage

LARGER = "lm/rescore.{lm.rescore_order}.arpa"  # only if it is set
NEURAL = tuple(f"lm/{name}.safetensors if lm.{name}.layers" for name in ("neural", "second_neural"))

STAGE = Stage(
    name="lm",
    purpose="n-gram language model of the training text",
    reads=(
        "manifests/{train}_supervisions.jsonl.gz",
        "manifests/{dev}_supervisions.jsonl.gz",
        "manifests/{test}_supervisions.jsonl.gz if lm.text",
        "units/words.txt if units.unknown_word",
        "{recipe}/{lm.text}",
        "{recipe}/{lm.arpa}",
        "{recipe}/{lm.rescore_arpa}",
    ),
    # binary files are written if kenlm's programs are built
    writes=(
        *("lm/lm.arpa", LARGER, "lm/lm.binary?", "lm/rescore.{lm.rescore_order}.binary?"),
        *(*NEURAL, "lm/report.json"),
    ),
    result=(
        *("lm", "units.unknown_word", "corpus.train", "corpus.dev", "corpus.case", "corpus.words"),
        "corpus.tests",  # how many of their sentences occur in the text is reported
    ),
)


def check(config: RecipeConfig) -> None:
    """Raise UserError if lm.estimator is lmplz and that isn't built."""
    if config.lm.estimator == "lmplz":
        from asrkit.lm.kenlm import require_lmplz

        require_lmplz()


def run(experiment: Experiment) -> None:
    """Write lm/lm.arpa, the models of lm.rescore_order and lm.neural if they are set, and lm/report.json."""
    from asrkit.lm.build import build_language_models

    build_language_models(experiment)

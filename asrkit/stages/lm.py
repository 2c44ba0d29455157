"""Stage lm: the n-gram language model, and optionally a larger and a neural one for rescoring."""

from asrkit.config import RecipeConfig
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage
from asrkit.stages import units

LARGER = "lm/rescore.{lm.rescore_order}.arpa"  # only if it is set
# A model is trained, or one that is given is referred to
NEURAL = tuple(
    f"lm/{name}.safetensors if lm.{name}.{setting}"
    for name in ("neural", "second_neural")
    for setting in ("layers", "path")
)
SPELLED = tuple(
    f"{file} if lm.{name}.tokens={tokens}"
    for name in ("neural", "second_neural")
    for tokens in ("units", "pieces")
    for file in units.STAGE.writes
)

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
        "{recipe}/{lm.neural.path}",
        "{recipe}/{lm.second_neural.path}",
        *SPELLED,
    ),
    # binary files are written if kenlm's programs are built
    writes=(
        *("lm/lm.arpa", LARGER, "lm/lm.binary?", "lm/rescore.{lm.rescore_order}.binary?"),
        *NEURAL,
        "lm/report.json",
    ),
    result=(
        *("lm", "units.unknown_word", "corpus.train", "corpus.dev", "corpus.case", "corpus.words"),
        "corpus.tests",  # how many of their sentences occur in the text is reported
    ),
    how=("decode.methods",),  # some refuse a model of order 1
)


def check(config: RecipeConfig) -> None:
    """Raise UserError if lm.estimator is lmplz and that isn't built, or lm.neural.path lacks transformers."""
    if config.lm.estimator == "lmplz":
        from asrkit.lm.kenlm import require_lmplz

        require_lmplz()
    if config.lm.neural.path or config.lm.second_neural.path:
        from asrkit.lm.pretrained import check_transformers

        check_transformers()


def run(experiment: Experiment) -> None:
    """Write lm/lm.arpa, the models of lm.rescore_order and lm.neural if they are set, and lm/report.json."""
    from asrkit.lm.build import build_language_models

    build_language_models(experiment)

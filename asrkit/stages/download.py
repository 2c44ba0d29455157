"""Stage download: download the corpus."""

from asrkit.config.recipe import TRANSFORMS
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage

STAGE = Stage(
    name="download",
    purpose="download the corpus",
    reads=("{recipe}/grammar.yaml?",),
    writes=("{corpus}",),
    result=(
        *("corpus.module", "corpus.train_sets", "corpus.dev_sets"),
        *("corpus.train", "corpus.dev", "corpus.tests"),
        # Language models, noise and rooms that a corpus module may download
        *("lm.text", "lm.arpa", "lm.rescore_arpa"),
        *(f"augment.{kind}.directory" for kind, each in TRANSFORMS.items() if hasattr(each, "directory")),
    ),
    how=("corpus", "name"),  # mirror, partial
    corpus_code=True,
)


def run(experiment: Experiment) -> None:
    """Call download() of the corpus module."""
    from asrkit.corpus.utterance import load_corpus_module

    module = load_corpus_module(experiment.config.corpus.module, experiment.local_directory)
    module.download(experiment.corpus_directory, experiment.config)
    print(f"the corpus is in {experiment.corpus_directory}")

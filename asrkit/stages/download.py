"""Stage 0: put the corpus into its folder."""

from asrkit.corpus.utterance import load_corpus_module
from asrkit.pipeline.experiment import Experiment


def run(experiment: Experiment) -> None:
    """Have the corpus module fetch the corpus, unless it is there."""
    module = load_corpus_module(experiment.config.corpus.module, experiment.local_directory)
    module.download(experiment.corpus_directory, experiment.config)
    print(f"the corpus is in {experiment.corpus_directory}")

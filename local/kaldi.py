"""Any corpus as Kaldi data directories: the corpus's folder itself, or a subdirectory per split."""

from pathlib import Path
from typing import Iterator

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.kaldi import data_directories, read_data_directory
from asrkit.corpus.utterance import Utterance, refuse_absent


def download(corpus_directory: Path, config: RecipeConfig) -> None:
    """Check that a data directory exists."""
    expected = "wav.scp and text, here or in a subdirectory per split"
    refuse_absent(corpus_directory, data_directories(corpus_directory, "train").values(), expected)


def utterances(corpus_directory: Path, config: CorpusConfig) -> Iterator[Utterance]:
    """The utterances of each data directory; relative paths are relative to the corpus's folder."""
    for split, directory in data_directories(corpus_directory, config.train).items():
        yield from read_data_directory(directory, split, corpus_directory, config.allow_pipes)

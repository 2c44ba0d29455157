"""Any corpus as lhotse CutSets, SPLIT_cuts.jsonl.gz or a single file."""

import re
from pathlib import Path
from typing import Iterator

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.cut_set import cut_utterances, read_cut_set
from asrkit.corpus.utterance import Utterance, listings, refuse_absent


def download(corpus_directory: Path, config: RecipeConfig) -> None:
    """Check that a CutSet exists."""
    refuse_absent(corpus_directory, corpus_directory.glob("*.jsonl*"), "a CutSet, NAME.jsonl.gz")


def utterances(corpus_directory: Path, config: CorpusConfig) -> Iterator[Utterance]:
    """An utterance per cut; relative paths are relative to the corpus's folder."""
    files = listings(corpus_directory, config, "*cuts*.jsonl*")
    for file in files:
        name = re.sub("[-_.]?cuts[-_.]?", "", file.name.partition(".jsonl")[0])
        split = name if len(files) > 1 else config.train
        entries = read_cut_set(file, "corpus.listing", config.allow_pipes)
        yield from cut_utterances(entries, split, corpus_directory, config.max_duration)

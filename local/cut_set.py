"""Any corpus as lhotse CutSets: a single file, or one per split.

With several, the name is SPLIT_cuts.jsonl.gz or CORPUS_cuts_SPLIT.jsonl.gz.
"""

from pathlib import Path
from typing import Iterator

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.cut_set import cut_utterances, read_cut_sets
from asrkit.corpus.utterance import Utterance, listings, refuse_absent

CUT_SETS = "*cuts*.jsonl*"


def download(corpus_directory: Path, config: RecipeConfig) -> None:
    """Check that a CutSet exists."""
    files = listings(corpus_directory, config.corpus, CUT_SETS)
    refuse_absent(corpus_directory, files, config.corpus.listing or "a CutSet, train_cuts.jsonl.gz")


def utterances(corpus_directory: Path, config: CorpusConfig) -> Iterator[Utterance]:
    """An utterance per cut; relative paths are relative to the corpus's folder."""
    files = listings(corpus_directory, config, CUT_SETS)
    for file, entries in read_cut_sets(files, "corpus.listing", config.allow_pipes):
        split = _split_of(file) if len(files) > 1 else config.train
        yield from cut_utterances(entries, split, corpus_directory, config.max_duration)


def _split_of(file: Path) -> str:
    """The part of the name after "cuts", else the one before: train for train_cuts and X_cuts_train."""
    before, cuts, after = file.name.partition(".jsonl")[0].partition("cuts")
    return after.strip("-_.") or before.strip("-_.") or cuts

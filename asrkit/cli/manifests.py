"""Stage 1: read the corpus, validate every utterance, write lhotse manifests."""

import collections
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from asrkit.config import CorpusConfig
from asrkit.corpus.derived_audio import derive_audio
from asrkit.corpus.manifests import write_manifests
from asrkit.corpus.rejection import Rejection, refuse_too_many, summarise_rejections, write_rejections
from asrkit.corpus.splits import hold_out
from asrkit.corpus.statistics import check_expectations, overlaps, refuse_shared_audio, split_statistics
from asrkit.corpus.utterance import Utterance, list_utterances, load_corpus_module
from asrkit.corpus.validation import ValidUtterance, validate
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import write_json


def run(experiment: Experiment) -> None:
    """Write manifests/; raises UserError when too much of the corpus is damaged or counts differ."""
    config = experiment.config.corpus
    listing = experiment.manifests / "rejected.jsonl"
    splits, rejections = read_corpus(experiment, experiment.manifests / "audio")
    write_rejections(listing, rejections)
    for line in summarise_rejections(rejections, config.tests):
        print(line)
    totals = collections.Counter(rejection.split for rejection in rejections)
    totals.update({name: len(of) for name, of in splits.items()})
    refuse_too_many(rejections, totals, config.max_bad_fraction, listing)
    refuse_shared_audio(splits)
    statistics = {name: split_statistics(of) for name, of in splits.items()}
    print(check_expectations(statistics, rejections, experiment.recipe_directory / "expect.json"))
    for name, of in splits.items():
        write_manifests(experiment.manifests, name, of)
    shared = overlaps(splits)
    write_json(experiment.manifests / "statistics.json", {"splits": statistics, "overlaps": shared})
    for name, counts in statistics.items():
        print(
            f"{name}: {counts['utterances']} utterances, {counts['seconds'] / 3600:.3f} h, "
            f"{counts['speakers']} speakers, {counts['words']} words, "
            f"{counts['shortest']:.2f} to {counts['longest']:.2f} s"
        )
    for pair in shared:
        first, second = pair["splits"]
        print(
            f"{first} and {second} share {pair['speakers']} speakers and {pair['sentences']} sentences "
            f"({pair['utterances_of_shared_sentences']} utterances of {second})"
        )


def read_corpus(
    experiment: Experiment, folder: Path
) -> Tuple[Dict[str, List[ValidUtterance]], List[Rejection]]:
    """The usable utterances of each split, and those that can't be used; derived audio goes to `folder`."""
    config = experiment.config.corpus
    module = load_corpus_module(config.module, experiment.local_directory)
    listed = list_utterances(module, experiment.corpus_directory, config)
    if config.held_out:
        listed = hold_out(listed, config.train, config.held_out)
    of_splits = _of_splits(listed, config, experiment.corpus_directory)
    utterances, rejections = derive_audio(of_splits, folder, experiment.jobs)
    valid, unusable = validate(utterances, config, experiment.jobs)
    splits: Dict[str, List[ValidUtterance]] = {name: [] for name in split_names(config)}
    for one in valid:
        splits[one.utterance.split].append(one)
    return splits, [*rejections, *unusable]


def split_names(config: CorpusConfig) -> List[str]:
    """Every split that the recipe uses, once."""
    return list(dict.fromkeys([config.train, config.dev, *config.tests]))


def _of_splits(utterances: Sequence[Utterance], config: CorpusConfig, folder: Path) -> List[Utterance]:
    """Those of the splits that the recipe uses; the others are counted aloud."""
    names = split_names(config)
    counts = collections.Counter(utterance.split for utterance in utterances)
    absent = [name for name in names if not counts[name]]
    if absent:
        raise UserError(
            f"no utterances of {', '.join(absent)}; the corpus has {dict(counts) or 'none at all'}",
            expected=f"splits {', '.join(names)} (corpus.train, corpus.dev, corpus.tests)",
            where=str(folder),
            todo="correct the names in recipe.yaml, or --corpus-dir",
        )
    for name in counts:
        if name not in names:
            print(f"{name}: {counts[name]} utterances are not used by this recipe")
    return [utterance for utterance in utterances if utterance.split in names]

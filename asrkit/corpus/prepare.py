"""Read a corpus, validate every utterance, write the lhotse manifests of its splits."""

import collections
import dataclasses
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from asrkit.config import CorpusConfig
from asrkit.corpus.derived_audio import derive_audio
from asrkit.corpus.manifests import write_manifests
from asrkit.corpus.rejection import Rejection, list_rejections, refuse_too_many
from asrkit.corpus.splits import hold_out, refuse_absent_sets, sets_of, split_of
from asrkit.corpus.statistics import (
    Completeness,
    Splits,
    check_expectations,
    overlaps,
    refuse_shared_audio,
    split_statistics,
)
from asrkit.corpus.utterance import Utterance, load_corpus_module
from asrkit.corpus.validation import ValidUtterance, validate
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import write_json


def check_splits(experiment: Experiment, splits: Splits, rejections: Sequence[Rejection]) -> Completeness:
    """List rejections; raises UserError for too many of them, audio in two splits, counts that differ."""
    config = experiment.config.corpus
    listing = experiment.folder("manifests") / "rejected.jsonl"
    valid = [one for of in splits.values() for one in of]
    list_rejections(listing, rejections, config.tests)
    totals = collections.Counter(rejection.split for rejection in rejections)
    totals.update({name: len(of) for name, of in splits.items()})
    refuse_too_many(rejections, totals, config.max_bad_fraction, listing)
    refuse_shared_audio(splits)
    completeness = check_expectations(
        _set_statistics(valid, config),
        rejections,
        experiment.recipe_directory / "expect.json",
        config.partial,
    )
    print(completeness.line)
    return completeness


def write_splits(experiment: Experiment, splits: Splits, completeness: Completeness) -> None:
    """Write the lhotse manifests and statistics.json, and print the counts."""
    statistics = {name: split_statistics(of) for name, of in splits.items()}
    for name, of in splits.items():
        write_manifests(experiment, name, of)
    shared = overlaps(splits)
    facts = {"splits": statistics, "overlaps": shared, "partial": completeness.partial}
    write_json(experiment.folder("manifests") / "statistics.json", facts)
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
    listed = list(module.utterances(experiment.corpus_directory, config))
    if config.held_out:
        listed = hold_out(listed, config)
    utterances, damaged = derive_audio(_in_use(listed, experiment), config, folder, experiment.jobs)
    valid, unusable = validate(utterances, config, experiment.jobs)
    return sort_into_splits(valid, [*damaged, *unusable], config)


def sort_into_splits(
    valid: Sequence[ValidUtterance], rejections: Sequence[Rejection], config: CorpusConfig
) -> Tuple[Dict[str, List[ValidUtterance]], List[Rejection]]:
    """The recipe's splits of utterances of the corpus's own sets; rejections with their split named."""
    splits: Dict[str, List[ValidUtterance]] = {name: [] for name in sets_of(config)}
    for one in valid:
        splits[split_of(one.utterance.split, one.utterance.speaker, config)].append(one)
    return splits, [
        dataclasses.replace(one, split=split_of(one.split, one.speaker, config)) for one in rejections
    ]


def _in_use(utterances: Sequence[Utterance], experiment: Experiment) -> List[Utterance]:
    """Those of the sets that the recipe uses; the others are counted aloud."""
    config = experiment.config.corpus
    refuse_absent_sets(utterances, config, str(experiment.corpus_directory))
    used = [own for of in sets_of(config).values() for own in of]
    for name, count in collections.Counter(utterance.split for utterance in utterances).items():
        if name not in used:
            print(f"{name}: {count} utterances are not used by this recipe")
    return [utterance for utterance in utterances if utterance.split in used]


def _set_statistics(valid: Sequence[ValidUtterance], config: CorpusConfig) -> Dict[str, Dict[str, Any]]:
    """Counts of each of the corpus's own sets, as they are published."""
    return {
        own: split_statistics([one for one in valid if one.utterance.split == own])
        for of in sets_of(config).values()
        for own in of
    }

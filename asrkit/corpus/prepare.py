"""Stage manifests: list, validate and count a corpus, and write the lhotse manifests of its splits."""

import collections
import dataclasses
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from asrkit.config import CorpusConfig
from asrkit.corpus.derived_audio import derive_audio
from asrkit.corpus.manifests import write_manifests
from asrkit.corpus.rejection import Rejection, list_rejections, refuse_too_many, refuse_unusable
from asrkit.corpus.splits import SplitOf, hold_out, refuse_absent_sets, sets_of
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
from asrkit.pipeline.inputs import audio_source, is_elsewhere
from asrkit.storage.files import remove, write_json


def read_corpus(
    experiment: Experiment, folder: Path, sources: Optional[Path] = None
) -> Tuple[Dict[str, List[ValidUtterance]], List[Rejection]]:
    """The valid utterances of each split, and the rejected ones; derived audio is written to `folder`.

    `sources`: where to list the audio files that the fingerprint of the corpus's folder doesn't cover.
    """
    config = experiment.config.corpus
    module = load_corpus_module(config.module, experiment.local_directory)
    listed = list(module.utterances(experiment.corpus_directory, config))
    if config.held_out:
        listed = hold_out(listed, config)
    refuse_absent_sets(listed, config, str(experiment.corpus_directory))
    used = [own for of in sets_of(config).values() for own in of]
    for name, count in collections.Counter(utterance.split for utterance in listed).items():
        if name not in used:
            print(f"{name}: {count} utterances are not used by this recipe")
    listed = [utterance for utterance in listed if utterance.split in used]
    if sources is not None:
        _write_sources(listed, experiment, sources)
    utterances, damaged = derive_audio(listed, config, folder, experiment.jobs)
    valid, unusable = validate(utterances, config, experiment.jobs, cluster=experiment.cluster)
    return sort_into_splits(valid, [*damaged, *unusable], config)


def _write_sources(utterances: Sequence[Utterance], experiment: Experiment, file: Path) -> None:
    """List the audio files outside the corpus's folder or hidden in it; write no list if there are none."""
    audio = {path for one in utterances for path in (one.made_of if one.derive else (one.audio,))}
    sources = sorted(audio_source(path, experiment) for path in audio)
    others = [source for source in sources if is_elsewhere(source)]
    if others:
        write_json(file, others)
    else:
        remove(file)


def sort_into_splits(
    valid: Sequence[ValidUtterance], rejections: Sequence[Rejection], config: CorpusConfig
) -> Tuple[Dict[str, List[ValidUtterance]], List[Rejection]]:
    """Map the corpus's own subsets to the splits of the recipe."""
    splits: Dict[str, List[ValidUtterance]] = {name: [] for name in sets_of(config)}
    split_of = SplitOf(config)
    for one in valid:
        splits[split_of(one.utterance.split, one.utterance.speaker)].append(one)
    return splits, [dataclasses.replace(one, split=split_of(one.split, one.speaker)) for one in rejections]


def check_splits(experiment: Experiment, splits: Splits, rejections: Sequence[Rejection]) -> Completeness:
    """List rejections; UserError for too many, audio in two splits, or counts unlike expect.json."""
    config = experiment.config.corpus
    listing = experiment.folder("manifests") / "rejected.jsonl"
    list_rejections(listing, rejections, config.tests)
    totals = collections.Counter(rejection.split for rejection in rejections)
    totals.update({name: len(of) for name, of in splits.items()})
    refuse_unusable(rejections, splits, listing)
    refuse_too_many(rejections, totals, config.max_bad_fraction, listing)
    refuse_shared_audio(splits, config)
    counts = own_statistics(splits, config)
    expected = experiment.recipe_directory / "expect.json"
    completeness = check_expectations(counts, rejections, expected, config.partial)
    print(completeness.line)
    return completeness


def own_statistics(splits: Splits, config: CorpusConfig) -> Dict[str, Dict[str, Any]]:
    """Counts of each of the corpus's own subsets, in the form of expect.json."""
    own_sets: Dict[str, List[ValidUtterance]] = {own: [] for of in sets_of(config).values() for own in of}
    for valid in (valid for of in splits.values() for valid in of):
        own_sets[valid.utterance.split].append(valid)
    return {own: split_statistics(of) for own, of in own_sets.items()}


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

"""Stage 1: read the corpus, validate every utterance, write lhotse manifests."""

import collections
from typing import Dict, List, Sequence

from asrkit.corpus.manifests import write_manifests
from asrkit.corpus.rejection import refuse_too_many, summarise_rejections, write_rejections
from asrkit.corpus.statistics import check_expectations, overlaps, refuse_shared_audio, split_statistics
from asrkit.corpus.utterance import Utterance, load_corpus_module
from asrkit.corpus.validation import ValidUtterance, validate
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import write_json


def run(experiment: Experiment) -> None:
    """Write manifests/; raises UserError when too much of the corpus is damaged or counts differ."""
    config = experiment.config.corpus
    names = list(dict.fromkeys([config.train, config.dev, *config.tests]))
    module = load_corpus_module(experiment.config.corpus.module, experiment.local_directory)
    utterances = _of_splits(list(module.utterances(experiment.corpus_directory)), names, experiment)
    valid, rejections = validate(utterances, config, experiment.jobs)
    listing = experiment.manifests / "rejected.jsonl"
    write_rejections(listing, rejections)
    splits: Dict[str, List[ValidUtterance]] = {name: [] for name in names}
    for one in valid:
        splits[one.utterance.split].append(one)
    for line in summarise_rejections(rejections, config.tests):
        print(line)
    totals = collections.Counter(utterance.split for utterance in utterances)
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


def _of_splits(
    utterances: Sequence[Utterance], names: Sequence[str], experiment: Experiment
) -> List[Utterance]:
    """Those of the splits that the recipe uses; the others are counted aloud."""
    counts = collections.Counter(utterance.split for utterance in utterances)
    absent = [name for name in names if not counts[name]]
    if absent:
        raise UserError(
            f"no utterances of {', '.join(absent)}; the corpus has {dict(counts) or 'none at all'}",
            expected=f"splits {', '.join(names)} (corpus.train, corpus.dev, corpus.tests)",
            where=str(experiment.corpus_directory),
            todo="correct the names in recipe.yaml, or --corpus-dir",
        )
    for name in counts:
        if name not in names:
            print(f"{name}: {counts[name]} utterances are not used by this recipe")
    return [utterance for utterance in utterances if utterance.split in names]

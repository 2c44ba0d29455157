"""The utterances that the initial model (train.init_from) was trained on: none of them is a fair test.

train/trained_before.jsonl.gz     {"audio_content": HASH, "start": SECONDS}, one row per utterance
"""

from pathlib import Path
from typing import Dict, Iterator, Tuple

from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.storage.files import iterate_jsonl, jsonl_gz_writer, remove

FILE = "trained_before.jsonl.gz"
Utterance = Tuple[str, float]  # the hash of its recording, and its start in seconds


def write_trained_before(experiment: Experiment) -> None:
    """Write those of train.init_from, if it is an experiment; else remove the file."""
    file, start = experiment.folder("train") / FILE, experiment.config.train.init_from
    place = experiment.named(start) if start is not None else None
    if place is not None and (place / "recipe.yaml").is_file():
        write_utterances_of(open_experiment(place), file)
    else:
        remove(file)


def write_utterances_of(source: Experiment, file: Path) -> None:
    """Write all utterances that a model was trained on, those of its initial model included."""
    known = {*_utterances_of(source, source.config.corpus.train), *_trained_before(source)}
    with jsonl_gz_writer(file) as write:
        for content, begin in sorted(known):
            write({"audio_content": content, "start": begin})


def count_trained_before(experiment: Experiment) -> Dict[str, Tuple[int, int]]:
    """Count the utterances of dev and test sets that the initial model was trained on.

    Returns (number, size of the set) for sets with at least one. The recording must be the same to the byte.
    """
    trained = set(_trained_before(experiment))
    corpus, found = experiment.config.corpus, {}
    for name in dict.fromkeys((corpus.dev, *corpus.tests)) if trained else ():
        own = list(_utterances_of(experiment, name))
        if known := sum(each in trained for each in own):
            found[name] = known, len(own)
    return found


def _trained_before(experiment: Experiment) -> Iterator[Utterance]:
    file = experiment.folder("train") / FILE
    rows = iterate_jsonl(file) if file.is_file() else ()
    return ((row["audio_content"], row["start"]) for row in rows)


def _utterances_of(experiment: Experiment, split: str) -> Iterator[Utterance]:
    file = experiment.folder("manifests") / f"{split}_cuts.jsonl.gz"
    rows = iterate_jsonl(file) if file.is_file() else ()
    contents = ((row.get("custom", {}).get("audio_content"), row["start"]) for row in rows)
    return ((content, start) for content, start in contents if content)

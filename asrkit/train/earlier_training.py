"""The utterances that the initial model (train.init_from) was trained on: none of them is a fair test.

train/trained_before.jsonl.gz     {"audio_content": HASH, "start": SECONDS, "duration": SECONDS}, ...
"""

import collections
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.storage.files import iterate_jsonl, jsonl_gz_writer, remove

FILE = "trained_before.jsonl.gz"
Segment = Tuple[str, float, float]  # the hash of the recording, and start and duration in seconds


def write_trained_before(experiment: Experiment) -> None:
    """Write those of train.init_from, if it is an experiment; else remove the file."""
    file, source = experiment.folder("train") / FILE, _initial(experiment)
    if source is not None:
        write_segments_of(source, file)
    else:
        remove(file)


def write_segments_of(source: Experiment, file: Path) -> None:
    """Write all that a model and its initial model were trained on; no file if that is unknown."""
    known = {*_segments_of(source, source.config.corpus.train), *_trained_before(source)}
    if not known:
        remove(file)
        return
    with jsonl_gz_writer(file) as write:
        for content, start, duration in sorted(known):
            write({"audio_content": content, "start": start, "duration": duration})


def count_trained_before(experiment: Experiment) -> Dict[str, Tuple[int, int]]:
    """Count the utterances of dev and test sets of which a training utterance has more than half.

    Returns (number, size of the set) for sets with at least one. Recordings must be the same to the byte.
    """
    trained: Dict[str, List[Segment]] = collections.defaultdict(list)
    for segment in _trained_before(experiment):
        trained[segment[0]].append(segment)
    corpus, found = experiment.config.corpus, {}
    for name in dict.fromkeys((corpus.dev, *corpus.tests)) if trained else ():
        own = list(_segments_of(experiment, name))
        known = sum(any(_is_shared(each, other) for other in trained.get(each[0], ())) for each in own)
        if known:
            found[name] = known, len(own)
    return found


def _initial(experiment: Experiment) -> Optional[Experiment]:
    """The experiment that training starts from, if it is there."""
    start = experiment.config.train.init_from
    place = experiment.named(start) if start is not None else None
    return open_experiment(place) if place is not None and (place / "recipe.yaml").is_file() else None


def _is_shared(one: Segment, two: Segment) -> bool:
    """Whether segments of one recording have more than half of the shorter one in common."""
    common = min(one[1] + one[2], two[1] + two[2]) - max(one[1], two[1])
    return 2 * common > min(one[2], two[2])


def _trained_before(experiment: Experiment) -> Iterator[Segment]:
    file, source = experiment.folder("train") / FILE, _initial(experiment)
    if file.is_file():
        for row in iterate_jsonl(file):
            yield row["audio_content"], row["start"], row["duration"]
    elif source is not None:  # trained by a version that didn't write the file
        yield from _segments_of(source, source.config.corpus.train)
        yield from _trained_before(source)


def _segments_of(experiment: Experiment, split: str) -> Iterator[Segment]:
    file = experiment.folder("manifests") / f"{split}_cuts.jsonl.gz"
    for row in iterate_jsonl(file) if file.is_file() else ():
        content = row.get("custom", {}).get("audio_content")
        if content:
            yield content, row["start"], row["duration"]

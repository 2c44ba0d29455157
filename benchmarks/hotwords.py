#!/usr/bin/env python3
"""Recall of rare words with and without hotwords, and errors in the other words.

The 20 words of a set that are rarest in the training text, letters apart, are removed from the decoding
graph, as names are absent that nobody knew when it was made. The set is decoded without and with them as
hotwords. The last line is the recall with them.
"""

import collections
import shutil
import tempfile
from pathlib import Path
from typing import Dict, List, Sequence, Set, Tuple

import kaldialign
import msgspec
import soundfile
from measure import given_experiment, make_parser, print_figure, run_measurement

from asrkit.corpus.manifests import read_cuts
from asrkit.decode.methods import UtteranceDecoder
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.recognise.hotwords import WEIGHT
from asrkit.recognise.opening import MethodSearcher, open_recognizer
from asrkit.recognise.recognizer import Recognizer
from asrkit.recognise.segmentation import SegmentOptions
from asrkit.storage.files import read_json
from asrkit.text.lexicon import read_lexicon, write_lexicon

COUNT = 20  # rare words
GAP = "\0"  # in alignments


def measure() -> None:
    """Decode a set without and with hotwords, at each weight."""
    parser = make_parser(__doc__, exp="a decoded experiment with a graph")
    parser.add_argument("--set-name", help="default: the first test set")
    parser.add_argument("--weights", default=str(WEIGHT), help="per token, separated by commas")
    parser.add_argument("--limit", type=int, help="utterances, evenly spaced; default: all")
    options = parser.parse_args()
    experiment = open_experiment(given_experiment(options.exp, "a decoded experiment"))
    corpus = experiment.config.corpus
    split = options.set_name or corpus.tests[0]
    cuts = list(read_cuts(experiment, split))
    cuts = cuts[:: max(1, len(cuts) // options.limit)] if options.limit else cuts
    references = [cut.supervisions[0].text.split() for cut in cuts]
    rare = find_rare(experiment, references)
    times = sum(word in rare for words in references for word in words)
    print(f"{split}: {COUNT} rare words, {times} times:")
    print(" ".join(sorted(rare)))
    recall = 0.0
    with tempfile.TemporaryDirectory() as folder:
        recognizer = without_words(experiment, rare, Path(folder))
        audio = [soundfile.read(cut.recording.sources[0].source, dtype="float32") for cut in cuts]
        for weight in (None, *map(float, options.weights.split(","))):
            hotwords = dict.fromkeys(rare, weight) if weight is not None else {}
            whole = SegmentOptions(whole=True)
            found = [recognizer.transcribe(one, whole, hotwords).text.split() for one in audio]
            right, all_rare, errors, others = count(references, found, rare)
            recall = 100 * right / all_rare
            name = "without hotwords" if weight is None else f"weight {weight:g}"
            print(
                f"{name}: {right}/{all_rare} rare words, "
                f"{errors}/{others} errors in the others = {100 * errors / others:.2f} %"
            )
    print_figure(f"{experiment.config.name}_hotwords_recall", recall, digits=4)


def find_rare(experiment: Experiment, references: Sequence[Sequence[str]]) -> Set[str]:
    """Words of some sentences, of three and more letters, rarest in the training text; of equal ones the most
    frequent here, which are mostly names.
    """
    train = collections.Counter(
        word
        for cut in read_cuts(experiment, experiment.config.corpus.train)
        for word in cut.supervisions[0].text.split()
    )
    known = {entry.word for entry in read_lexicon(experiment.folder("units") / "lexicon.txt")}
    here = collections.Counter(word for sentence in references for word in sentence if len(word) > 2)
    words = sorted(here.keys() & known, key=lambda word: (train[word], -here[word], word))
    return set(words[:COUNT])


def without_words(experiment: Experiment, words: Set[str], folder: Path) -> Recognizer:
    """A recogniser by 1best whose graph lacks some words; its units still spell them."""
    from asrkit.graph.compile import make_graph  # imports k2

    units = folder / "units"
    shutil.copytree(experiment.folder("units"), units)
    write_lexicon(
        units / "lexicon.txt", [one for one in read_lexicon(units / "lexicon.txt") if one.word not in words]
    )
    known = [line.split()[0] for line in (units / "words.txt").read_text("utf-8").splitlines()]
    kept = [word for word in known if word not in words]
    table = "".join(f"{word} {index}\n" for index, word in enumerate(kept))
    (units / "words.txt").write_text(table, "utf-8")
    config = experiment.config
    graph = make_graph(units, experiment.folder("lm") / "lm.arpa", config.graph)
    recognizer = open_recognizer(experiment.directory, "1best")
    decode = msgspec.structs.replace(config.decode, methods=("1best",))
    weights: Dict[str, Dict[str, float]] = read_json(experiment.folder("decode") / "scales.json")["weights"]
    chosen = weights.get("1best") or weights["hlg"]
    decoder = UtteranceDecoder(decode, recognizer.units, graph)
    point = [chosen["lm_scale"], chosen["word_bonus"]]
    searcher = MethodSearcher(decoder, "1best", point, recognizer.units, recognizer.step)
    return recognizer.with_searcher(searcher)


def count(
    references: Sequence[Sequence[str]], found: Sequence[Sequence[str]], rare: Set[str]
) -> Tuple[int, int, int, int]:
    """Rare words that were found, and all; errors in the others, insertions included, and all of those."""
    right = errors = 0
    for reference, words in zip(references, found):
        for expected, heard in kaldialign.align(list(reference), list(words), GAP):
            if expected in rare:
                right += expected == heard
            else:
                errors += expected != heard
    every: List[str] = [word for sentence in references for word in sentence]
    of_rare = sum(word in rare for word in every)
    return right, of_rare, errors, len(every) - of_rare


if __name__ == "__main__":
    run_measurement(measure)

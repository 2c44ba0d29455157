#!/usr/bin/env python3
"""Train a recipe on recorded speech, and on recorded and synthetic speech for no fewer seconds of audio.

Synthetic sentences are drawn from the grammar that is the recipe's lm.text. Two English voices of py-nanotts
speak them at many pitches and speeds; --voice names an experiment of the recipe with stage synthesise, whose
own voice is a variant of its own. Rows go to recipes/NAME/records/study_synthetic_data.json as they are made;
one that is there isn't made again. Experiments are kept below --keep, where an interrupted training resumes.
"""

import math
import random
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from measure import (
    find_corpus,
    given_experiment,
    make_parser,
    print_figures,
    run_asrkit,
    run_measurement,
)
from scaling_study import collect, draw_study, run_variant

from asrkit.config import load_config
from asrkit.corpus.synthesis import Speech, speak_files
from asrkit.corpus.transcripts import read_table
from asrkit.pipeline.experiment import REPOSITORY, open_experiment
from asrkit.pipeline.machine import count_cores
from asrkit.storage.files import read_json, write_json, write_text
from asrkit.text.grammar import draw_sentence, read_grammar

SEED = 20261129
VOICES = ("en-US", "en-GB")
PITCH = (70, 135)  # percent of the voice's default: low male to high female
SPEED = (80, 125)
MIXED = "recorded-and-synthetic"  # the training set; the published counts of train are others
Spoken = Tuple[Path, str, str]  # audio, text, speaker


def draw_texts(recipe: str, count: int) -> List[str]:
    """Different sentences of the recipe's grammar."""
    folder = REPOSITORY / "recipes" / recipe
    grammar = read_grammar(folder / str(load_config(folder / "recipe.yaml").lm.text))
    generator = random.Random(SEED)
    texts: Dict[str, None] = {}
    while len(texts) < count:
        texts[draw_sentence(grammar, generator)] = None
    return list(texts)


def speak_by_engine(texts: List[str], folder: Path) -> Iterator[Spoken]:
    """Sentences by the voices of py-nanotts in turn; a voice at a pitch of 5 % counts as a speaker."""
    generator = random.Random(SEED + 1)
    jobs = []
    for number, text in enumerate(texts):
        pitch, speed = generator.randint(*PITCH), generator.randint(*SPEED)
        speech = Speech(VOICES[number % len(VOICES)], pitch, speed, text.lower())
        jobs.append((speech, folder / f"{speech.id}.wav"))
    speak_files([job for job in jobs if not job[1].exists()], count_cores())
    for (speech, file), text in zip(jobs, texts):
        yield file, text, f"{speech.voice}-{speech.pitch // 5 * 5}"


def speak_by_network(texts: List[str], folder: Path, voice: Path) -> Iterator[Spoken]:
    """Sentences by the training speakers of an experiment with stage synthesise, in turn."""
    if not (folder / "synthetic.tsv").exists():  # written last
        write_text(folder / "lines.txt", "".join(f"{text}\n" for text in texts))
        run_asrkit("speak", str(folder / "lines.txt"), str(folder), "--exp", str(voice), "--lines")
    for _, row in read_table(folder / "synthetic.tsv", ("path", "text", "speaker", "split")):
        yield folder / row["path"], row["text"], f"synthetic-{row['speaker']}"


def make_cut(spoken: Spoken) -> MonoCut:
    """A recording as a cut with one supervision."""
    file, text, speaker = spoken
    recording = Recording.from_file(file, recording_id=f"synthetic-{file.stem}")
    cut: MonoCut = recording.to_cut()
    words = SupervisionSegment(cut.id, recording.id, 0.0, recording.duration, text=text, speaker=speaker)
    cut.supervisions = [words]
    return cut


def write_corpus(exp: Path, recorded: Path, spoken: List[Spoken], folder: Path) -> float:
    """The cuts of an experiment's manifests, with synthetic ones in train; how many times longer train is.

    `recorded`: the corpus's folder, below which the recordings are.
    """
    config = open_experiment(exp).config.corpus
    share = 1.0
    for split in (config.train, config.dev, *config.tests):
        cuts = CutSet.from_file(exp / "manifests" / f"{split}_cuts.jsonl.gz")
        cuts = cuts.with_recording_path_prefix(recorded).to_eager()
        if split == config.train:
            synthetic = [make_cut(each) for each in spoken]
            share += sum(cut.duration for cut in synthetic) / sum(cut.duration for cut in cuts)
            cuts = CutSet.from_cuts([*cuts, *synthetic])
        folder.mkdir(parents=True, exist_ok=True)
        name = MIXED if split == config.train else split
        cuts.to_file(folder / f"{name}_cuts.jsonl.gz")
    return share


def measure() -> None:
    """Make the rows, and print all error rates."""
    parser = make_parser(__doc__, recipe="an4", exp="an experiment of the recipe with its manifests")
    parser.add_argument("--keep", type=Path, metavar="DIR", required=True, help="keeps the experiments")
    parser.add_argument("--voice", type=Path, metavar="DIR", help="an experiment with stage synthesise")
    parser.add_argument("--sentences", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=10, help="of recorded speech alone")
    options = parser.parse_args()
    exp, keep = given_experiment(options.exp, "with its manifests"), options.keep.resolve()
    corpus = find_corpus(options.recipe, options.corpus_dir, keep)
    texts = draw_texts(options.recipe, options.sentences)
    sources: Dict[str, Iterator[Spoken]] = {
        "recorded speech": iter(()),
        "and sentences by py-nanotts": speak_by_engine(texts, keep / "audio"),
    }
    if options.voice:
        sources["and sentences by the own voice"] = speak_by_network(texts, keep / "own", options.voice)
    file = REPOSITORY / "recipes" / options.recipe / "records" / "study_synthetic_data.json"
    rows: List[Dict[str, Any]] = read_json(file) if file.exists() else []
    for variant, spoken in sources.items():
        if variant not in {row["variant"] for row in rows}:
            folder = keep / variant.replace(" ", "-")
            share = write_corpus(exp, corpus, list(spoken), folder / "corpus")
            settings = {
                "corpus": {"module": "cut_set", "train": MIXED, "dev_speakers": []},
                "train": {"epochs": math.ceil(options.epochs / share)},
            }
            place = folder / "corpus", folder / "exp"
            rows.append(run_variant(options.recipe, variant, settings, *place))
            write_json(file, rows)
            draw_study(rows, file.with_suffix(".png"))
    print_figures(collect(rows), None, prefix=f"{options.recipe}_synthetic_data_")


if __name__ == "__main__":
    run_measurement(measure)

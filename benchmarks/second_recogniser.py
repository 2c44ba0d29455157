#!/usr/bin/env python3
"""What a recogniser that never heard the corpus makes of stage synthesise's sentences: English word errors.

Each sentence is transcribed three times: the recording, the recording resynthesised from its features, and
the synthetic speech. The
recogniser is Moonshine's tiny English model, which the wheel of this version contains:
pip install moonshine-voice==0.0.49. Numbers are compared as digits.
"""

import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
import soundfile
import torch
from measure import given_experiment, make_parser, print_figures, run_measurement

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.score.evaluation import evaluate
from asrkit.score.normalisation import normalise
from asrkit.score.transcripts import Transcript
from asrkit.storage.files import read_jsonl

PAUSE = 0.5  # seconds of silence around a sentence; without it the recogniser drops the first word
VERSIONS = ("recording", "features", "synthetic")


def open_moonshine() -> Any:
    """Moonshine's tiny English model; raises UserError if it isn't installed."""
    try:
        import moonshine_voice
        from moonshine_voice.moonshine_api import ModelArch
        from moonshine_voice.transcriber import Transcriber
    except ImportError:
        todo = "pip install moonshine-voice==0.0.49"
        raise UserError("moonshine-voice is not installed", "its tiny English model", todo=todo) from None
    folder = os.path.join(os.path.dirname(moonshine_voice.__file__), "assets", "tiny-en")
    return Transcriber(folder, ModelArch.TINY)


def words_of(text: str) -> List[str]:
    """Lower-case words without punctuation, numbers in digits."""
    from asrkit.text.digits import write_digits

    plain = " ".join(normalise(text.replace("-", " ").split(), ("lower", "strip-punctuation")))
    return write_digits(plain, "en").split()


def recognise(recogniser: Any, samples: np.ndarray, rate: int) -> str:
    """The text of samples."""
    pause = np.zeros(round(PAUSE * rate), np.float32)
    found = recogniser.transcribe_without_streaming(np.concatenate([pause, samples, pause]).tolist(), rate)
    return " ".join(line.text for line in found.lines)


def versions_of(
    experiment: Experiment, split: str, corpus: Path
) -> Iterator[Tuple[Dict[str, Any], List[np.ndarray]]]:
    """Each sentence that was synthesised, and its samples in the order of VERSIONS."""
    from asrkit.corpus.manifests import read_cuts
    from asrkit.signal.audio import read_samples
    from asrkit.signal.filterbank import FilterBank
    from asrkit.synthesis.waveform import to_samples

    config = experiment.config.features
    bank = FilterBank(config)
    cuts = {cut.id: cut for cut in read_cuts(experiment, split)}
    for row in read_jsonl(experiment.folder("synthesise") / f"{split}.jsonl"):
        cut = cuts[row["id"]]
        spoken = experiment.folder("synthesise") / "audio" / split / f"{row['id'].replace('/', '_')}.flac"
        if spoken.exists():
            source = corpus / cut.recording.sources[0].source
            recording = read_samples(source, round(cut.start * cut.sampling_rate), cut.num_samples)
            heard = to_samples(torch.from_numpy(bank.extract(recording)), config).numpy()
            yield row, [recording, heard, soundfile.read(spoken, dtype="float32")[0]]


def measure() -> None:
    """Transcribe the versions, and print their word error rates; the last is that of synthetic speech."""
    parser = make_parser(__doc__, exp="an experiment with stage synthesise")
    parser.add_argument("--voice", metavar="SPEAKER", help="only sentences that this voice speaks")
    parser.add_argument("--last", metavar="NAME", help="the figure to print last, without second_recogniser_")
    parser.add_argument("--corpus-dir", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    torch.set_num_threads(1)
    experiment = open_experiment(given_experiment(options.exp, "with stage synthesise"))
    recogniser, figures = open_moonshine(), {}
    for split in experiment.config.corpus.tests:
        found: Dict[str, List[Transcript]] = {version: [] for version in VERSIONS}
        for row, spoken in versions_of(experiment, split, options.corpus_dir):
            if options.voice not in (None, row["speaker"]):
                continue
            reference = words_of(" ".join(row["text"]))
            for version, samples in zip(VERSIONS, spoken):
                text = recognise(recogniser, samples, experiment.config.features.sampling_rate)
                found[version].append(Transcript(row["id"], row["speaker"], reference, words_of(text)))
        for version, transcripts in found.items():
            total = evaluate(transcripts, "word", list, 1000, 0.95)
            low, high = total.interval
            print(f"{split}, {version}: {total.total} [{low:.2f}, {high:.2f}]")
            figures[f"{split}_{version}_wer".replace("-", "_")] = total.total.rate
    print_figures(figures, options.last, prefix="second_recogniser_")


if __name__ == "__main__":
    run_measurement(measure)

#!/usr/bin/env python3
"""Median error of the word boundaries of `asrkit align`, in milliseconds, on speech with known times.

The words of the demo corpus's test sentences are spoken one by one by their voices, and joined without a
pause or with one of up to 0.4 s: where each begins and ends is then known.
"""

from typing import Iterator, List, Tuple

import numpy as np
from measure import given_experiment, make_parser, print_figure, run_measurement

from asrkit.corpus.synthesis import NOISE, QUIET, SAMPLING_RATE, Speech, speak
from asrkit.pipeline.machine import prepare_processor

PAUSES = (0.0, 0.0, 0.1, 0.2, 0.4)  # seconds
Times = List[Tuple[float, float]]  # start and end of each word in seconds


def joined_words(speech: Speech, generator: np.random.Generator) -> Tuple[np.ndarray, Times]:
    """Samples (sample,) float32 of a sentence, and the times of its words."""
    parts: List[np.ndarray] = [hiss(0.2, generator)]
    times: Times = []
    for word in speech.text.split():
        samples = speak(Speech(speech.voice, speech.pitch, speech.speed, word))
        loud = np.flatnonzero(np.abs(samples.astype(int)) > QUIET + NOISE)
        start = sum(map(len, parts))
        parts += [samples[loud[0] : loud[-1] + 1], hiss(float(generator.choice(PAUSES)), generator)]
        times.append((start / SAMPLING_RATE, (start + len(parts[-2])) / SAMPLING_RATE))
    return np.concatenate([*parts, hiss(0.2, generator)]).astype(np.float32) / 32768, times


def hiss(seconds: float, generator: np.random.Generator) -> np.ndarray:
    """The noise that is under all speech of the corpus."""
    return generator.integers(-NOISE, NOISE + 1, round(seconds * SAMPLING_RATE)).astype(np.int16)


def sentences(exp: object) -> Iterator[Speech]:
    """Sentences of the test set of known voices."""
    from lhotse import load_manifest_lazy

    for cut in load_manifest_lazy(f"{exp}/manifests/test-seen_cuts.jsonl.gz"):
        yield Speech(cut.supervisions[0].speaker, 100, 100, cut.supervisions[0].text)


def measure() -> None:
    """Align joined words with their text."""
    options = make_parser(__doc__, exp="a finished experiment of the demo corpus").parse_args()
    given_experiment(options.exp, "of a finished recipes/demo")
    prepare_processor()
    from asrkit.recognise.recognizer import Recognizer

    recognizer, generator = Recognizer.open(options.exp, "greedy"), np.random.default_rng(0)
    errors: List[float] = []
    silent = 0
    for speech in sentences(options.exp):
        try:
            samples, times = joined_words(speech, generator)
        except RuntimeError:  # a voice that speaks a word alone as silence
            silent += 1
            continue
        words = recognizer.align(samples, SAMPLING_RATE, speech.text)
        errors += [word.start - start for word, (start, _) in zip(words, times)]
        errors += [word.end - end for word, (_, end) in zip(words, times)]
    milliseconds = 1000 * np.abs(errors)
    upper, most = np.quantile(milliseconds, (0.75, 0.95))
    print(f"{silent} sentences left out, with a word that their voice doesn't speak alone")
    print(f"{len(errors)} boundaries: mean {milliseconds.mean():.0f} ms, 75 % {upper:.0f}, 95 % {most:.0f}")
    print_figure("align_median_error_milliseconds", float(np.median(milliseconds)), digits=3)


if __name__ == "__main__":
    run_measurement(measure)

"""Intervals by utterance and by speaker."""

from typing import List

import numpy as np
import pytest

from asrkit.score.evaluation import FEWEST_SPEAKERS, evaluate
from asrkit.score.normalisation import words
from asrkit.score.transcripts import Transcript

LENGTH = 10


def transcript(number: int, speaker: int, errors: int) -> Transcript:
    hypothesis = ["x"] * errors + ["a"] * (LENGTH - errors)
    return Transcript(f"u{number}", f"s{speaker}", ["a"] * LENGTH, hypothesis)


def test_too_few_speakers_have_no_interval_by_speaker() -> None:
    few = [transcript(number, number % (FEWEST_SPEAKERS - 1), 1) for number in range(20)]
    assert evaluate(few, "word", words, samples=50).interval_by_speaker is None
    enough = [transcript(number, number % FEWEST_SPEAKERS, 1) for number in range(20)]
    assert evaluate(enough, "word", words, samples=50).interval_by_speaker == pytest.approx((10.0, 10.0))


def test_one_utterance_a_speaker_gives_the_interval_by_utterance() -> None:
    found = evaluate([transcript(n, n, n % 4) for n in range(30)], "word", words, samples=500)
    assert found.interval_by_speaker == found.interval


def corpus(generator: np.random.Generator, speakers: int = 20, utterances: int = 15) -> List[Transcript]:
    """Speakers whose own error rates are 5 % or 35 %, so that the true rate is 20 %."""
    rates = generator.choice([0.05, 0.35], size=speakers)
    return [
        transcript(speaker * utterances + number, speaker, int(generator.binomial(LENGTH, rates[speaker])))
        for speaker in range(speakers)
        for number in range(utterances)
    ]


def test_where_speakers_differ_only_the_interval_by_speaker_holds_the_true_rate() -> None:
    generator = np.random.default_rng(11)
    inside, inside_by_speaker = 0, 0
    for _ in range(100):
        found = evaluate(corpus(generator), "word", words, samples=300)
        assert found.interval_by_speaker is not None
        inside += found.interval[0] <= 20.0 <= found.interval[1]
        inside_by_speaker += found.interval_by_speaker[0] <= 20.0 <= found.interval_by_speaker[1]
    assert inside_by_speaker >= 86
    assert inside <= 70

"""The bootstrap interval of an error rate, by utterance and by speaker."""

from typing import List

import kaldialign
import numpy as np
import pytest

from asrkit.score.evaluation import MIN_SPEAKERS, bootstrap_interval, evaluate
from asrkit.score.transcripts import Transcript

LENGTH = 10


def transcript(number: int, speaker: int, errors: int) -> Transcript:
    hypothesis = ["x"] * errors + ["a"] * (LENGTH - errors)
    return Transcript(f"u{number}", f"s{speaker}", ["a"] * LENGTH, hypothesis)


def test_too_few_speakers_have_no_interval_by_speaker() -> None:
    few = [transcript(number, number % (MIN_SPEAKERS - 1), 1) for number in range(20)]
    assert evaluate(few, "word", list, samples=50).interval_by_speaker is None
    enough = [transcript(number, number % MIN_SPEAKERS, 1) for number in range(20)]
    assert evaluate(enough, "word", list, samples=50).interval_by_speaker == pytest.approx((10.0, 10.0))


def test_one_utterance_a_speaker_gives_the_interval_by_utterance() -> None:
    found = evaluate([transcript(n, n, n % 4) for n in range(30)], "word", list, samples=500)
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
        found = evaluate(corpus(generator), "word", list, samples=300)
        assert found.interval_by_speaker is not None
        inside += found.interval[0] <= 20.0 <= found.interval[1]
        inside_by_speaker += found.interval_by_speaker[0] <= 20.0 <= found.interval_by_speaker[1]
    assert inside_by_speaker >= 86
    assert inside <= 70


def test_no_errors_give_zero() -> None:
    assert bootstrap_interval([0] * 30, [6] * 30, samples=200) == (0.0, 0.0)


def test_all_wrong_gives_hundred() -> None:
    assert bootstrap_interval([6] * 30, [6] * 30, samples=200) == (100.0, 100.0)


def test_same_input_same_interval() -> None:
    errors, lengths = [0, 1, 0, 2, 0, 0, 1], [5, 6, 7, 8, 5, 4, 6]
    first = bootstrap_interval(errors, lengths, samples=500)
    assert bootstrap_interval(errors, lengths, samples=500) == first
    assert bootstrap_interval(errors, lengths, samples=500, seed=1) != first


def test_interval_holds_the_rate_and_never_goes_below_zero() -> None:
    errors, lengths = [3] + [0] * 99, [6] * 100
    low, high = bootstrap_interval(errors, lengths, samples=2000)
    assert 0.0 <= low <= 100 * 3 / 600 <= high


def test_agrees_with_the_normal_approximation_where_errors_are_many() -> None:
    errors = np.random.default_rng(5).binomial(10, 0.2, size=400)
    low, high = bootstrap_interval(errors.tolist(), [10] * 400, samples=4000)
    deviation = errors.std() / np.sqrt(len(errors)) * 10
    assert low == pytest.approx(10 * errors.mean() - 1.96 * deviation, abs=0.15)
    assert high == pytest.approx(10 * errors.mean() + 1.96 * deviation, abs=0.15)


def test_agrees_with_kaldialign() -> None:
    generator = np.random.default_rng(7)
    references = [list(map(str, range(10)))] * 300
    hypotheses = [[word if generator.random() > 0.1 else "x" for word in words] for words in references]
    errors = [words.count("x") for words in hypotheses]
    theirs = kaldialign.bootstrap_wer_ci(references, hypotheses)
    ours = bootstrap_interval(errors, [10] * 300, samples=10000)
    assert ours == pytest.approx((100 * theirs["ci95min"], 100 * theirs["ci95max"]), abs=0.1)


def test_covers_the_true_rate_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(3)
    inside = 0
    for _ in range(200):
        errors = generator.binomial(8, 0.1, size=80)
        low, high = bootstrap_interval(errors.tolist(), [8] * 80, samples=400)
        inside += low <= 10.0 <= high
    assert 0.88 <= inside / 200 <= 0.99


def test_wider_confidence_wider_interval() -> None:
    errors, lengths = [0, 1, 0, 2, 0, 0, 1] * 5, [5, 6, 7, 8, 5, 4, 6] * 5
    narrow = bootstrap_interval(errors, lengths, 500, confidence=0.5)
    wide = bootstrap_interval(errors, lengths, 500, confidence=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_memory_bound_does_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    errors, lengths = [0, 1, 0, 2, 0, 0, 1], [5, 6, 7, 8, 5, 4, 6]
    whole = bootstrap_interval(errors, lengths, samples=500)
    monkeypatch.setattr("asrkit.score.evaluation.SAMPLES_AT_ONCE", 50)
    assert bootstrap_interval(errors, lengths, samples=500) == whole


def test_refuses_an_empty_reference() -> None:
    with pytest.raises(ValueError, match="no reference"):
        bootstrap_interval([1], [0], samples=10)

"""Overlapping segments of one recording in train and test were refused only if they were identical."""

import time
from pathlib import Path
from typing import List, Sequence, Tuple

import pytest

from asrkit.corpus.audio import AudioFacts
from asrkit.corpus.statistics import refuse_shared_audio
from asrkit.corpus.utterance import Utterance
from asrkit.corpus.validation import ValidUtterance
from asrkit.errors import UserError

RATE = 1000
AUDIO = AudioFacts(sampling_rate=RATE, samples=100000 * RATE, content="r")


def segments(split: str, *times: Tuple[float, float]) -> List[ValidUtterance]:
    """Utterances of one recording from start to end, in seconds, with the ids train0, train1, ..."""
    of = []
    for number, (start, end) in enumerate(times):
        utterance = Utterance(f"{split}{number}", Path("r.flac"), "ONE", split, split)
        of.append(ValidUtterance(utterance, "ONE", AUDIO, round(start * RATE), round((end - start) * RATE)))
    return of


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ((0.0, 8.0), (0.01, 8.0)),
        ((0.01, 8.0), (0.0, 8.0)),
        ((0.0, 8.0), (3.0, 4.0)),
        ((3.0, 4.0), (0.0, 8.0)),
        ((0.0, 8.0), (3.9, 11.9)),
        ((3.9, 11.9), (0.0, 8.0)),
        ((0.0, 1.0), (0.0, 30.0)),
    ],
)
def test_more_than_half_of_a_segment_in_two_splits_is_refused(
    train: Tuple[float, float], test: Tuple[float, float]
) -> None:
    splits = {"train": segments("train", (50, 60), train), "dev": [], "test": segments("test", test)}
    with pytest.raises(UserError, match=r"1 utterances of test share more than half") as caught:
        refuse_shared_audio(splits)
    first, second = (f"{start:.2f} to {end:.2f} s" for start, end in (train, test))
    assert f"train1 (r.flac, {first}) and test0 (r.flac, {second})" in str(caught.value)


@pytest.mark.parametrize("test", [(8.0, 9.0), (7.8, 12.0), (4.0, 12.0), (7.6, 8.4)])
def test_segments_that_touch_may_be_in_two_splits(test: Tuple[float, float]) -> None:
    refuse_shared_audio({"train": segments("train", (0.0, 8.0)), "test": segments("test", test)})


def refused(train: Sequence[Tuple[float, float]], test: Sequence[Tuple[float, float]]) -> int:
    """Number of test utterances that are refused."""
    try:
        refuse_shared_audio({"train": segments("train", *train), "test": segments("test", *test)})
    except UserError as error:
        return int(str(error).split()[0])
    return 0


def test_all_that_share_audio_are_counted() -> None:
    train = [(start / 2, start / 2 + 3 + start % 5) for start in range(0, 300, 7)]
    test = [(start / 3, start / 3 + 1 + start % 4) for start in range(0, 500, 5)]
    expected = sum(
        any(2 * (min(b, d) - max(a, c)) > min(b - a, d - c) for a, b in train)
        for c, d in [(round(c, 3), round(d, 3)) for c, d in test]
    )
    assert 10 < expected < len(test)
    assert refused(train, test) == expected


def test_the_work_is_proportional_to_the_number_of_segments() -> None:
    count = 20000
    before = time.process_time()
    train = [(4.0 * number, 4.0 * number + 2.1) for number in range(count)]
    assert refused(train, [(start + 2.0, start + 4.1) for start, _ in train]) == 0
    assert refused([(0.0, 4.0)] * count, [(1.0, 3.0)] * count) == count
    assert time.process_time() - before < 5

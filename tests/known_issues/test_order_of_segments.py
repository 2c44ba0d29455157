"""A stretch shorter than one frame was returned before earlier segments that were still in the batch."""

from typing import Any, List, Tuple

import numpy as np
import pytest
import torch
from torch import Tensor

from asrkit.config.recipe import FeaturesConfig
from asrkit.config.symbols import BLANK_SYMBOL
from asrkit.recognise import recognizer
from asrkit.recognise.recognizer import Encoded, Greedy, Recognizer
from asrkit.signal.filterbank import FilterBank
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units

RATE = 16000
UNITS = Units([BLANK_SYMBOL, "A"], [Pronunciation("a", ("A",))])


class Encoder:
    """Recognises the unit A in every frame."""

    def __init__(self) -> None:
        self.batches: List[int] = []

    def __call__(self, features: Tensor, lengths: Tensor) -> Encoded:
        self.batches.append(len(features))
        log_probs = torch.full((*features.shape[:2], 2), -10.0)
        log_probs[:, :, 1] = -0.01
        return Encoded(log_probs, lengths, None)


@pytest.mark.parametrize(
    ("stretches", "outcomes", "batches"),
    [
        ([(0, 1), (1.8, 1.81), (2, 3)], ["greedy", "empty", "greedy"], [2]),
        ([(0.5, 0.505)], ["empty"], []),
        ([(0, 0.005), (0.5, 1), (2, 2.01)], ["empty", "greedy", "empty"], [1]),
    ],
)
def test_segments_come_in_order(
    monkeypatch: pytest.MonkeyPatch,
    stretches: List[Tuple[float, float]],
    outcomes: List[str],
    batches: List[int],
) -> None:
    found: Any = [(round(start * RATE), round(end * RATE)) for start, end in stretches]
    monkeypatch.setattr(recognizer, "find_speech", lambda *_: found)
    encoder = Encoder()
    recognise = Recognizer(FilterBank(FeaturesConfig()), encoder, Greedy(UNITS, 0.01), UNITS, 0.01)
    samples = 0.1 * np.random.default_rng(0).normal(size=4 * RATE).astype(np.float32)
    segments = list(recognise.segments(samples, RATE))
    assert [(segment.start, segment.end) for segment in segments] == stretches
    assert [segment.outcome for segment in segments] == outcomes
    assert encoder.batches == batches  # stretches without features don't cause a batch of their own

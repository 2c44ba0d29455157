"""Streams of samples give what the masked whole gives, wherever they are cut; and where utterances end."""

from typing import Any, List, Sequence, Tuple

import numpy as np
import pytest
import torch
from torch import Tensor

from asrkit.config import FeaturesConfig
from asrkit.model.streaming import StreamingModel
from asrkit.recognise.endpoint import EndpointRules
from asrkit.recognise.recognizer import Found, Greedy
from asrkit.recognise.stream import Stream, StreamRecognizer, Update, encode_chunks
from asrkit.recognise.transcript import Word
from asrkit.signal.filterbank import FilterBank
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units
from tests.model.test_acoustic import make_model
from tests.model.test_streaming import CAUSAL

RATE = 16000
SYMBOLS = "-ABCDEF"
UNITS = Units(["<blk>", *SYMBOLS[1:]], [Pronunciation(symbol, (symbol,)) for symbol in SYMBOLS[1:]])


def make_recognizer(chunk: int = 4, **settings: Any) -> StreamRecognizer:
    model = make_model(**CAUSAL)
    bank = FilterBank(FeaturesConfig(bins=20))
    return StreamRecognizer(StreamingModel(model, chunk), bank, Greedy(UNITS, 0.04), UNITS, 0.04, **settings)


def log_probs(recognizer: StreamRecognizer, pieces: Sequence[np.ndarray]) -> Tensor:
    stream, found = recognizer.stream(), []
    for piece in pieces:
        stream.accept(piece)
        while stream.is_ready():
            found += encode_chunks(recognizer.model, [stream])
    stream.finish()
    while stream.is_ready():
        found += encode_chunks(recognizer.model, [stream])
    return torch.cat(found)


@torch.no_grad()
def whole(recognizer: StreamRecognizer, samples: np.ndarray) -> Tensor:
    streaming = recognizer.model
    assert isinstance(streaming, StreamingModel)
    features = torch.from_numpy(recognizer.bank.extract(samples))[None]
    lengths = torch.tensor([features.shape[1]])
    normalised = streaming.model.normalise(features, lengths)
    return streaming.model.encode(normalised, lengths, streaming.chunk)[1][0]


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


@pytest.mark.parametrize("chunk", [1, 4, 9])
def test_every_cut_of_the_input_gives_what_the_masked_whole_gives(chunk: int) -> None:
    recognizer, samples = make_recognizer(chunk), noise(1.3)
    expected = whole(recognizer, samples)
    for cut in range(0, len(samples), 997):  # of two pieces
        found = log_probs(recognizer, np.split(samples, [cut]))
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    for length in (10, 160, 1000, 5120):  # of pieces of this length
        found = log_probs(recognizer, np.split(samples, list(range(length, len(samples), length))))
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("count", [400, 1000, 4000, 5200, 6543])
def test_streams_shorter_than_a_chunk(count: int) -> None:
    recognizer, samples = make_recognizer(9), noise(1.0)[:count]
    found, expected = log_probs(recognizer, [samples]), whole(recognizer, samples)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def updates(recognizer: StreamRecognizer, streams: Sequence[Tuple[np.ndarray, float]]) -> List[List[Update]]:
    """Updates of each stream: samples, which begin so many seconds later than the first stream's."""
    opened, found, piece = [recognizer.stream() for _ in streams], [], round(0.1 * RATE)
    by_stream: List[List[Update]] = [[] for _ in streams]

    def advance() -> None:
        for stream, update in recognizer.advance(opened):
            by_stream[opened.index(stream)].append(update)

    for step in range(400):
        for (samples, late), stream in zip(streams, opened):
            at = (step - round(late * 10)) * piece
            if at >= 0 and len(samples[at : at + piece]):
                stream.accept(samples[at : at + piece])
                if at + piece >= len(samples):
                    stream.finish()
        advance()
    assert all(stream.is_done for stream in opened) and not found
    return by_stream


def test_streams_do_not_depend_on_each_other() -> None:
    recognizer = make_recognizer()
    first, second = noise(2.0), noise(1.5, seed=1)
    together = updates(recognizer, [(first, 0.0), (second, 0.7), (np.zeros(100, np.float32), 0.0)])
    alone = [*updates(recognizer, [(first, 0.0)]), *updates(recognizer, [(second, 0.0)])]
    text = [[(update.segment.text, update.is_final) for update in each] for each in together]
    assert text[:2] == [[(update.segment.text, update.is_final) for update in each] for each in alone]
    assert together[2] == []
    for each in together[:2]:
        assert [update.is_final for update in each] == [False] * (len(each) - 1) + [True]
        assert each[-1].segment.text


class Scripted:
    """A model that outputs a script, a frame per letter, - for silence."""

    chunk, shift, window = 5, 20, 20

    def __init__(self, script: str) -> None:
        self.script = script

    def start(self, batch: int = 1) -> Tuple[Tensor, ...]:
        return (torch.zeros(batch, dtype=torch.int64),)

    def __call__(self, features: Tensor, lengths: Tensor, *state: Tensor) -> Any:
        at = int(state[0])
        said = [max(0, SYMBOLS.find(each)) for each in self.script[at : at + self.chunk]]
        found = torch.full((1, self.chunk, len(SYMBOLS)), -9.0)
        found[0, range(len(said)), said] = 0.0
        return found, torch.div(lengths - 1, 4, rounding_mode="floor") + 1, (state[0] + self.chunk,)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("-AA-B" + "-" * 35 + "C----", [("A B", 0.0, 1.4), ("C", 1.4, 1.8)]),  # 1.2 s after words
        ("-" * 65 + "A----", [("A", 2.4, 2.8)]),  # 2.4 s of silence are no segment
        ("-A-B-" * 30, [("A B " * 25, 0.0, 5.0), ("A B " * 5, 5.0, 6.0)]),  # the longest
    ],
)
def test_an_utterance_ends_by_the_rules(script: str, expected: List[Tuple[str, float, float]]) -> None:
    bank, greedy, rules = FilterBank(FeaturesConfig(bins=20)), Greedy(UNITS, 0.04), EndpointRules(longest=5.0)
    recognizer = StreamRecognizer(Scripted(script), bank, greedy, UNITS, 0.04, rules)
    (found,) = updates(recognizer, [(noise(len(script) * 0.04), 0.0)])
    finals = [update.segment for update in found if update.is_final]
    rounded = [(each.text, round(each.start, 2), round(each.end, 2)) for each in finals]
    assert rounded == [(text.strip(), start, end) for text, start, end in expected]


def test_partial_texts_of_phones_come_from_the_search_within_its_budget() -> None:
    searched: List[int] = []

    def search(log_probs: Tensor, encoded: Any, offset: float) -> Found:
        searched.append(len(log_probs))
        return Found([Word(f"of{len(log_probs)}", offset, 0.04, 1.0)], "lattice")

    bank, rules = FilterBank(FeaturesConfig(bins=20)), EndpointRules(longest=60.0)
    script = "-A-B-" * 30
    recognizer = StreamRecognizer(Scripted(script), bank, search, UNITS, 0.04, rules, budget=3.0)
    (found,) = updates(recognizer, [(noise(len(script) * 0.04), 0.0)])
    *partial, final = [update.segment.text for update in found]
    assert partial == [f"of{frames}" for frames in searched[:-1]] and final == "of150"
    size = recognizer.model.chunk
    assert searched[:5] == [size * place for place in range(1, 6)] and searched[5] > 6 * size
    assert all(sum(searched[:count]) <= 3 * searched[count - 1] for count in range(1, len(searched)))


def test_numbers_are_written_in_digits() -> None:
    pytest.importorskip("text_to_num", reason="needs the extra [use]")
    units = Units(["<blk>", "T"], [Pronunciation("TWENTY", ("T",))])
    bank, greedy = FilterBank(FeaturesConfig(bins=20)), Greedy(units, 0.04)
    recognizer = StreamRecognizer(Scripted("-A---"), bank, greedy, units, 0.04, digits="en")
    ((update,),) = updates(recognizer, [(noise(0.2), 0.0)])
    assert update.is_final and update.segment.text == "20"


def test_latency_counts_chunk_look_ahead_and_the_last_window() -> None:
    recognizer = make_recognizer(4)
    assert isinstance(recognizer.model, StreamingModel) and recognizer.model.factor == 4
    ahead = recognizer.model.look_ahead * 0.01 + 0.0075
    assert recognizer.latency == pytest.approx((0.16 + ahead, 0.08 + ahead))


def test_nothing_is_kept_of_what_was_recognised() -> None:
    recognizer = make_recognizer(rules=EndpointRules(longest=1.0))
    stream: Stream = recognizer.stream()
    for _ in range(50):
        stream.accept(noise(0.5))
        while stream.is_ready():
            recognizer.advance([stream])
    assert sum(map(len, stream.chunks)) <= 25 and stream.backlog < RATE

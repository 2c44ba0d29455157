"""Recognise streams: samples in any pieces to partial texts and final segments.

    samples -> FeatureStream -> windows -> StreamingModel -> log-probabilities -> greedy -> partial text
                                                             of the utterance  -> search -> final segment

Phones give no words without the search, so their partial texts come from it, too. All frames of the utterance
are searched again, at first after every chunk, later less often: else the time would grow with the square of
the length. With a budget of 3 frames per frame, in chunks of 8 frames:

    frames so far   8   16   24   32   40   48   56   64   72
    searched        8   16   24   32   40    -    -   64    -
    together        8   24   48   80  120            184         at most 3 * 64
"""

import dataclasses
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Protocol, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from asrkit.config.symbols import BLANK
from asrkit.model.streaming import State
from asrkit.recognise.endpoint import SHERPA_ONNX, EndpointRules
from asrkit.recognise.greedy import greedy_words
from asrkit.recognise.recognizer import Found, Greedy, Searcher
from asrkit.recognise.transcript import Segment, in_digits, word_rows
from asrkit.signal.feature_stream import FeatureStream
from asrkit.signal.filterbank import FilterBank
from asrkit.text.units import Units


class ChunkModel(Protocol):
    """An acoustic model chunk by chunk, such as asrkit.model.streaming.StreamingModel."""

    chunk: int  # encoder frames per chunk
    shift: int  # feature frames per chunk
    window: int  # feature frames that a chunk needs

    def start(self, batch: int = 1) -> State:
        """The state at the beginning of streams."""

    def __call__(self, features: Tensor, lengths: Tensor, *state: Tensor) -> Tuple[Tensor, Tensor, State]:
        """Log-probabilities (batch, chunk, unit), how many exist (batch,), and the state after the chunk."""


class Update(NamedTuple):
    """What a chunk brought: the text so far of the current utterance, or its final words."""

    segment: Segment
    is_final: bool


def to_message(update: Update) -> Dict[str, Any]:
    """The update as JSON for a client: type, start, end, text, and the words of a final one."""
    segment = update.segment
    message: Dict[str, Any] = {
        "type": "final" if update.is_final else "partial",
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
    }
    return {**message, "words": word_rows(segment.words)} if update.is_final else message


class Stream:
    """One stream, from samples to updates."""

    def __init__(self, model: ChunkModel, bank: FilterBank) -> None:
        self._features = FeatureStream(bank)
        self._samples: List[np.ndarray] = []  # not yet features
        self._waiting = 0  # samples in that list
        self._frames = np.empty((0, bank.config.bins), np.float32)  # from the next chunk on
        self._window, self._shift = model.window, model.shift
        self._has_ended = self._is_flushed = False
        self.state = model.start()
        self.chunks: List[Tensor] = []  # log-probabilities (frame, unit) of the current utterance
        self.start = 0  # encoder frames before it
        self.text = ""
        self.searched = 0  # frames, for partial texts of the current utterance

    def accept(self, samples: np.ndarray) -> None:
        """Take further samples (sample,) at the model's rate."""
        self._samples.append(samples)
        self._waiting += len(samples)

    def finish(self) -> None:
        """There are no more samples."""
        self._has_ended = True

    @property
    def backlog(self) -> int:
        """Samples that have not been recognised."""
        return self._waiting + len(self._frames) * self._features.shift

    @property
    def is_done(self) -> bool:
        """Whether all has been recognised."""
        return self._has_ended and not self.is_ready()

    def is_ready(self) -> bool:
        """Whether there are samples enough for a chunk."""
        missing = (self._window - len(self._frames)) * self._features.shift
        if missing > 0 and not self._is_flushed and (self._has_ended or self._waiting >= missing):
            samples = np.concatenate([np.empty(0, np.float32), *self._samples])
            self._samples, self._waiting, self._is_flushed = [], 0, self._has_ended
            further = [self._frames, self._features.accept(samples)]
            self._frames = np.concatenate([*further, *([self._features.finish()] if self._has_ended else [])])
        return len(self._frames) >= (1 if self._has_ended else self._window)

    def take(self) -> Tuple[Tensor, int]:
        """The next window of features (window, bin), and how many of its frames exist."""
        window = torch.zeros(self._window, self._frames.shape[1])
        count = min(self._window, len(self._frames))
        window[:count] = torch.from_numpy(self._frames[:count])
        self._frames = self._frames[self._shift :]
        return window, count


@torch.no_grad()
def encode_chunks(model: ChunkModel, streams: Sequence[Stream]) -> List[Tensor]:
    """Log-probabilities (frame, unit) of the next chunk of each stream, as one batch; all must be ready."""
    windows, lengths = zip(*(stream.take() for stream in streams))
    states = [torch.cat(tensors) for tensors in zip(*(stream.state for stream in streams))]
    log_probs, counts, after = model(torch.stack(windows), torch.tensor(lengths), *states)
    for index, stream in enumerate(streams):
        stream.state = tuple(tensor[index : index + 1] for tensor in after)
    return [each[:count] for each, count in zip(log_probs.cpu(), counts.tolist())]


@dataclasses.dataclass(frozen=True)
class StreamRecognizer:
    """A model for streams with all that belongs to it."""

    model: ChunkModel
    bank: FilterBank
    searcher: Searcher  # of whole utterances, for their final words
    units: Units
    step: float  # seconds per encoder frame
    rules: EndpointRules = SHERPA_ONNX
    silence: Tuple[int, ...] = (BLANK,)  # units that are no words
    digits: Optional[str] = None  # language of the numbers that are written in digits
    budget: float = 8.0  # frames searched for partial texts of phones, per frame of the utterance

    @property
    def sampling_rate(self) -> int:
        """Hz of the samples that streams take."""
        return self.bank.config.sampling_rate

    @property
    def latency(self) -> Tuple[float, float]:
        """Seconds from a sound to its log-probabilities, without computing: the worst and the mean."""
        features = self.bank.config
        overlap = (features.frame_length - features.frame_shift) / 2
        ahead = (self.model.window - self.model.shift) * features.frame_shift + overlap
        chunk = self.model.chunk * self.step
        return ahead + chunk, ahead + chunk / 2

    def stream(self) -> Stream:
        """A new stream."""
        return Stream(self.model, self.bank)

    def advance(self, streams: Sequence[Stream]) -> List[Tuple[Stream, Update]]:
        """Recognise one chunk of each stream that is ready; updates of those whose text changed or ended."""
        ready = [stream for stream in streams if stream.is_ready()]
        for stream, log_probs in zip(ready, encode_chunks(self.model, ready) if ready else []):
            stream.chunks.append(log_probs)
        ended = [stream for stream in streams if stream.is_done and stream.chunks and stream not in ready]
        updates = [(stream, self._update(stream)) for stream in [*ready, *ended]]
        return [(stream, update) for stream, update in updates if update is not None]

    def transcribe(self, pieces: Iterable[np.ndarray]) -> Iterator[Update]:
        """Updates of one stream, as its samples (sample,) come."""
        stream = self.stream()
        for piece in pieces:
            stream.accept(piece)
            while stream.is_ready():
                yield from (update for _, update in self.advance([stream]))
        stream.finish()
        while not stream.is_done or stream.chunks:
            yield from (update for _, update in self.advance([stream]))

    def _segment(self, begin: float, end: float, found: Found) -> Segment:
        segment = Segment(begin, end, tuple(found.words), found.outcome)
        return in_digits(segment, self.digits) if self.digits else segment

    def _update(self, stream: Stream) -> Optional[Update]:
        log_probs, begin = torch.cat(stream.chunks), stream.start * self.step
        spoken = ~torch.isin(log_probs.argmax(dim=1), torch.tensor(self.silence))
        last = int(spoken.nonzero().max()) + 1 if spoken.any() else 0
        seconds, silence = len(log_probs) * self.step, (len(log_probs) - last) * self.step
        end = begin + seconds
        if stream.is_done or self.rules.is_end(seconds, silence, last > 0):
            stream.chunks, stream.start = [], stream.start + len(log_probs)
            stream.text, stream.searched = "", 0
            if not last:
                return None
            found = self.searcher(log_probs, None, begin)
            return Update(self._segment(begin, end, found), True)
        partial = self._partial(stream, log_probs, begin) if last else None
        if partial is None:
            return None
        segment = self._segment(begin, end, partial)
        if segment.text == stream.text:
            return None
        stream.text = segment.text
        return Update(segment, False)

    def _partial(self, stream: Stream, log_probs: Tensor, begin: float) -> Optional[Found]:
        """Words so far of an utterance; None: they are searched later."""
        if self.units.can_spell or isinstance(self.searcher, Greedy):
            return Found(greedy_words(log_probs, self.units, self.step, begin), "greedy")
        if stream.searched + len(log_probs) > self.budget * len(log_probs):
            return None
        stream.searched += len(log_probs)
        return self.searcher(log_probs, None, begin)

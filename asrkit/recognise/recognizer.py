"""A trained model with all that belongs to it, from audio to words."""

import dataclasses
import threading
from pathlib import Path
from types import MappingProxyType
from typing import Iterator, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from asrkit.errors import AudioProblem, UserError
from asrkit.recognise.forced_alignment import align_words, snap_to_pauses
from asrkit.recognise.greedy import greedy_words
from asrkit.recognise.hotwords import Hotword, apply_hotwords, make_hotwords
from asrkit.recognise.recording import as_samples, read_recording
from asrkit.recognise.segmentation import SegmentOptions, find_speech
from asrkit.recognise.transcript import Segment, Transcript, Word
from asrkit.signal.audio import resample
from asrkit.signal.filterbank import FilterBank
from asrkit.text.units import Units

BATCH_SECONDS = 120.0  # of audio through the model at once
CUT_AT_PAUSES = SegmentOptions()
Audio = Union[str, Path, bytes, Tuple[np.ndarray, int]]


class Encoded(NamedTuple):
    """Output of the acoustic model."""

    log_probs: Tensor  # (utterance, frame, token)
    frames: Tensor  # (utterance,)
    output: Optional[Tensor]  # (utterance, frame, dim), for the attention decoder


class Encoder(Protocol):
    """Features to log-probabilities: PyTorch or ONNX."""

    def __call__(self, features: Tensor, lengths: Tensor) -> Encoded:
        """Encode features (utterance, time, bin) of lengths (utterance,)."""


class Found(NamedTuple):
    """Words with their times in seconds, and how they were found."""

    words: Sequence[Word]
    outcome: str


class Searcher(Protocol):
    """From log-probabilities (frame, token) to words; `offset`: seconds of the first frame."""

    def __call__(self, log_probs: Tensor, encoded: Optional[Tensor], offset: float) -> Found:
        """Search one segment."""


@dataclasses.dataclass(frozen=True)
class Greedy:
    """The best token per frame: needs neither graph nor language model."""

    units: Units
    step: float  # seconds per frame

    def __call__(self, log_probs: Tensor, encoded: Optional[Tensor], offset: float) -> Found:
        """Search one segment."""
        words = greedy_words(log_probs, self.units, self.step, offset)
        return Found(words, "greedy")


class Recognizer:
    """Audio to words; `transcribe` may be called from several threads."""

    def __init__(
        self, filter_bank: FilterBank, encoder: Encoder, searcher: Searcher, units: Units, step: float
    ) -> None:
        """`step`: seconds per frame of the encoder's output."""
        self._filter_bank, self._encoder, self._searcher = filter_bank, encoder, searcher
        self.units, self.step = units, step
        self._lock = threading.Lock()  # lhotse's filter bank and k2's search keep state

    @classmethod
    def open(cls, place: Union[str, Path], method: Optional[str] = None, device: str = "cpu") -> "Recognizer":
        """Open a finished experiment or a bundle; see open_recognizer."""
        from asrkit.recognise.opening import open_recognizer

        return open_recognizer(Path(place), method, device)

    def with_searcher(self, searcher: Searcher) -> "Recognizer":
        """The same model with another search."""
        return Recognizer(self._filter_bank, self._encoder, searcher, self.units, self.step)

    @property
    def sampling_rate(self) -> int:
        """Hz of the model's features; other audio is resampled."""
        return self._filter_bank.config.sampling_rate

    def transcribe(
        self,
        audio: Audio,
        options: SegmentOptions = CUT_AT_PAUSES,
        hotwords: Mapping[str, float] = MappingProxyType({}),
    ) -> Transcript:
        """Recognise a file, the content of one, or samples (sample,) with their rate.

        Samples are floating-point numbers from -1 to 1, or signed integers. `hotwords`: phrases to prefer,
        with weights; see asrkit.recognise.hotwords. Raises AudioProblem for audio that can't be used, and
        UserError for samples of another shape or type and for hotwords that the model can't spell.
        """
        name = str(audio) if isinstance(audio, (str, Path)) else "audio"
        source = Path(audio) if isinstance(audio, str) else audio
        samples, rate = as_samples(*source) if isinstance(source, tuple) else read_recording(source)
        return Transcript(name, len(samples) / rate, tuple(self.segments(samples, rate, options, hotwords)))

    def segments(
        self,
        samples: np.ndarray,
        rate: int,
        options: SegmentOptions = CUT_AT_PAUSES,
        hotwords: Mapping[str, float] = MappingProxyType({}),
    ) -> Iterator[Segment]:
        """The segments of samples (sample,) of `rate` Hz, as they are recognised."""
        preferred = make_hotwords(hotwords, self.units)
        stretches = find_speech(samples, rate, options, self.step)
        batch: List[_Stretch] = []
        for start, end in stretches:
            try:
                features: Optional[np.ndarray] = self._features(samples[start:end], rate)
            except AudioProblem:
                features = None  # too short for a frame; kept in the batch so that segments stay in order
            batch.append(_Stretch(start / rate, end / rate, features))
            longest = max(each.end - each.start for each in batch)
            if longest * len(batch) > BATCH_SECONDS:
                yield from self._recognise(batch, preferred)
                batch = []
        yield from self._recognise(batch, preferred)

    def align(self, samples: np.ndarray, rate: int, text: str) -> List[Word]:
        """Words of a known text with their times in samples (sample,) of `rate` Hz.

        Raises UserError for words that the model's tokens can't spell, and for too little or too much audio.
        """
        try:
            features = torch.from_numpy(self._features(samples, rate))
        except AudioProblem as problem:
            raise UserError(f"the recording is {problem}", expected="audio of the text") from None
        log_probs, frames, _ = self._encoder(features[None], torch.tensor([len(features)]))
        words = align_words(log_probs[0][: int(frames[0])], self.units, text, self.step)
        return snap_to_pauses(words, samples, rate)

    def _features(self, samples: np.ndarray, rate: int) -> np.ndarray:
        with self._lock:
            return self._filter_bank.extract(resample(samples, rate, self.sampling_rate))

    def _recognise(self, batch: Sequence["_Stretch"], hotwords: Sequence[Hotword]) -> Iterator[Segment]:
        features = [torch.from_numpy(each.features) for each in batch if each.features is not None]
        encoded = iter(self._encode(features) if features else ())
        for start, end, present in batch:
            if present is None:
                yield Segment(start, end, (), "empty")
                continue
            log_probs, output = next(encoded)
            with self._lock:
                found = self._searcher(log_probs, output, start)
            words = apply_hotwords(found.words, log_probs, hotwords, self.units, self.step, start)
            yield Segment(start, end, tuple(words), found.outcome)

    def _encode(self, features: Sequence[Tensor]) -> Iterator[Tuple[Tensor, Optional[Tensor]]]:
        """Log-probabilities (frame, token) and output (frame, dim) of each, computed as one batch."""
        padded = torch.nn.utils.rnn.pad_sequence(list(features), batch_first=True)
        log_probs, frames, output = self._encoder(padded, torch.tensor([len(each) for each in features]))
        for index, count in enumerate(frames.tolist()):
            yield log_probs[index, :count], output[index, :count] if output is not None else None


class _Stretch(NamedTuple):
    """A part of a recording in the batch for the next pass through the model."""

    start: float  # seconds
    end: float
    features: Optional[np.ndarray]  # (time, bin); None for a stretch shorter than one frame

"""Where there is speech in a recording: voice activity detection by silero-vad, cut at pauses."""

import dataclasses
import functools
from typing import Any, List, Tuple

import numpy as np
import torch

from asrkit.errors import UserError
from asrkit.signal.audio import resample

VAD_RATE = 16000  # of the batched model in silero-vad's wheel


@dataclasses.dataclass(frozen=True)
class SegmentOptions:
    """How a recording is cut."""

    min_silence: float = 0.5  # seconds; shorter pauses stay inside a segment
    padding: float = 0.3  # seconds kept on each side: detection cuts into first and last sounds
    max_duration: float = 30.0  # seconds; longer speech is cut at its longest pause
    whole: bool = False  # one segment, without detection of speech


def find_speech(samples: np.ndarray, rate: int, options: SegmentOptions) -> List[Tuple[int, int]]:
    """First sample and end of each stretch of speech in samples (sample,) of `rate` Hz, in order.

    They don't overlap. Raises UserError if silero-vad or onnxruntime is missing.
    """
    if options.whole:
        return [(0, len(samples))]
    detector = _detector()
    timestamps = detector.find(
        resample(samples, rate, VAD_RATE),
        min_silence_duration_ms=options.min_silence * 1000,
        speech_pad_ms=options.padding * 1000,
        max_speech_duration_s=options.max_duration,
        min_speech_duration_ms=0,  # a short word is one too; what is none gives no words
    )
    scale = rate / VAD_RATE
    stretches = [(round(each["start"] * scale), round(each["end"] * scale)) for each in timestamps]
    return [(start, min(end, len(samples))) for start, end in stretches if start < min(end, len(samples))]


class _Detector:
    """silero-vad's network as ONNX, many frames per call, on one thread."""

    def __init__(self) -> None:
        threads = torch.get_num_threads()
        try:
            from silero_vad import load_silero_vad
            from silero_vad.sequence_vad import get_speech_timestamps_sequence

            self._model = load_silero_vad(onnx=True, sequence=True)
        except ImportError as error:
            raise UserError(
                f"the package {error.name} is missing",
                expected="silero-vad and onnxruntime, which find the speech in a recording",
                where="transcribe",
                todo="pip install 'asrkit[use]'; or --whole, for recordings of a sentence each",
            ) from None
        finally:
            torch.set_num_threads(threads)  # importing silero_vad sets one thread for the whole process
        self._timestamps = get_speech_timestamps_sequence

    def find(self, samples: np.ndarray, **options: Any) -> List[Any]:
        """Start and end of each stretch, in samples."""
        found: List[Any] = self._timestamps(samples, self._model, sampling_rate=VAD_RATE, **options)
        return found


@functools.lru_cache(maxsize=1)
def _detector() -> _Detector:
    return _Detector()

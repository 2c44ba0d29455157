"""Where there is speech in a recording: voice activity detection by silero-vad, cut at pauses."""

import dataclasses
import functools
from typing import Any, List, Tuple

import numpy as np
import torch

from asrkit.errors import UserError
from asrkit.signal.audio import resample

VAD_RATE = 16000  # of the batched model in silero-vad's wheel
DIGITAL_SILENCE = 0.2  # seconds of samples that are 0; longer than the closure of any plosive inside a word
Stretch = Tuple[int, int]  # first sample and end


@dataclasses.dataclass(frozen=True)
class SegmentOptions:
    """How a recording is cut."""

    min_silence: float = 0.5  # seconds; shorter pauses stay inside a segment
    padding: float = 0.5  # seconds kept on each side: models heard utterances with silence around them
    max_duration: float = 30.0  # seconds; longer speech is cut at its longest pause
    whole: bool = False  # one segment, without detection of speech


def find_speech(samples: np.ndarray, rate: int, options: SegmentOptions, step: float) -> List[Stretch]:
    """First sample and end of each stretch of speech in samples (sample,) of `rate` Hz, in order.

    They don't overlap. Each starts a multiple of `step`, the seconds per frame of the model's output, after
    the beginning of the recording or of its clip: shifts within one frame change more words than other cuts.
    Raises UserError if silero-vad or onnxruntime is missing.

        samples    000000 clip      000000 clip 0000        clips are separated by digital silence
        speech              ====           ===              as detected
        segment         |-------|        |-----|            padded, start moved back by less than a step
    """
    if options.whole:
        return [(0, len(samples))]
    clips, parts = _clips(samples, DIGITAL_SILENCE * rate), []
    for start, end in _detect(samples, rate, options):
        inside = clips[np.searchsorted(clips[:, 1], start, side="right") : np.searchsorted(clips[:, 0], end)]
        parts += [(max(start, first), min(end, last), first, last) for first, last in inside.tolist()]
    padding = round(options.padding * rate)
    found: List[Stretch] = []
    for index, (start, end, first_of_clip, end_of_clip) in enumerate(parts):
        before = (parts[index - 1][1] + start) // 2 if index else 0  # two segments share a short pause
        after = (end + parts[index + 1][0]) // 2 if index + 1 < len(parts) else len(samples)
        steps = int((max(start - padding, before, first_of_clip) - first_of_clip) / (step * rate))
        first = first_of_clip + round(steps * step * rate)
        if found:
            found[-1] = (found[-1][0], min(found[-1][1], first))
        found.append((first, min(end + padding, after, end_of_clip)))
    return found


def _clips(samples: np.ndarray, shortest_silence: float) -> np.ndarray:
    """What digital silence separates, joined recordings or parts that aren't muted: (clip, first and end)."""
    edges = np.flatnonzero(np.diff(samples != 0, prepend=False, append=False)).reshape(-1, 2)
    is_silence = edges[1:, 0] - edges[:-1, 1] >= shortest_silence
    ends = np.append(is_silence, True)[: len(edges)]
    starts = np.append(True, is_silence)[: len(edges)]
    return np.stack([edges[starts, 0], edges[ends, 1]], axis=1)


def _detect(samples: np.ndarray, rate: int, options: SegmentOptions) -> List[Stretch]:
    timestamps = _detector().find(
        resample(samples, rate, VAD_RATE),
        min_silence_duration_ms=options.min_silence * 1000,
        speech_pad_ms=0,
        max_speech_duration_s=options.max_duration,
        min_speech_duration_ms=0,  # a short word is one too; what is none gives no words
    )
    scale = rate / VAD_RATE
    return [(round(each["start"] * scale), round(each["end"] * scale)) for each in timestamps]


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
                todo="pip install -e '.[use]'; or --whole, for recordings of a sentence each",
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

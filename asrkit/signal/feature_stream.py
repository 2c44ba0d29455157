"""Features of samples that come in pieces."""

import math

import numpy as np

from asrkit.errors import AudioProblem, UserError
from asrkit.signal.filterbank import FilterBank


class FeatureStream:
    """Features of samples that come in pieces of any length, the same frames as of all samples at once.

    At 16 kHz frame t reads samples 160 t - 120 to 160 t + 280; at both ends of the audio they are reflected.
    Raises UserError for signal.steps, which filter whole recordings.
    """

    def __init__(self, bank: FilterBank) -> None:
        if bank.steps:
            raise UserError(
                f"signal.steps has {len(bank.steps)} steps, which need the whole recording",
                expected="a model without them",
                where="a stream",
                todo="train with --set signal.steps=[] to recognise streams",
            )
        self._bank, config = bank, bank.config
        self.shift = math.floor(config.frame_shift * config.sampling_rate)  # samples, as lhotse rounds them
        self.length = math.floor(config.frame_length * config.sampling_rate)
        self._lead = -(-self.length // self.shift)  # frames that reflected samples reach at most
        self._after = self.length - (self.length - self.shift) // 2  # samples of frame n from n * shift on
        self._samples = np.empty(0, np.float32)  # from the time of frame _first on
        self._first = self._next = 0

    def accept(self, samples: np.ndarray) -> np.ndarray:
        """Features (time, bin) of the frames that further samples (sample,) complete."""
        self._samples = np.concatenate([self._samples, samples])
        complete = self._first + (len(self._samples) - self._after) // self.shift + 1
        end = (complete - 1 - self._first) * self.shift + self._after
        return self._extract(complete, max(0, end))

    def finish(self) -> np.ndarray:
        """Features (time, bin) of the last frames, after the last samples."""
        total = self._first + (len(self._samples) + self.shift // 2) // self.shift
        return self._extract(total, len(self._samples))

    def _extract(self, end_frame: int, end_sample: int) -> np.ndarray:
        """Features of the frames from _next to `end_frame`, of the kept samples up to `end_sample`."""
        if end_frame <= self._next:
            return np.empty((0, self._bank.config.bins), np.float32)
        try:
            features = self._bank.extract(self._samples[:end_sample])
        except AudioProblem:  # the whole recording is shorter than a frame
            return np.empty((0, self._bank.config.bins), np.float32)
        found = features[self._next - self._first : end_frame - self._first]
        self._next = end_frame
        unused = max(0, end_frame - self._lead - self._first)
        self._first, self._samples = self._first + unused, self._samples[unused * self.shift :]
        return found

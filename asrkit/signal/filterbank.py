"""Log-Mel filter bank."""

from typing import Sequence

import numpy as np
import torch

from asrkit.config.recipe import FeaturesConfig, SignalStep
from asrkit.errors import AudioProblem
from asrkit.signal.steps import apply_steps

# Features are rounded to multiples of 1/1024: int16 then holds -32 to 32, and log-Mel energies of samples in
# -1 to 1 lie in -16 to 12. Features computed on the fly thus equal stored ones bit for bit.
STEPS = 1024


class FilterBank:
    """Log-Mel features from lhotse's filter bank, without dither, after the steps of signal.steps."""

    def __init__(self, config: FeaturesConfig, steps: Sequence[SignalStep] = ()) -> None:
        from lhotse import Fbank, FbankConfig

        self.config, self.steps = config, steps
        self._extractor = Fbank(
            FbankConfig(
                sampling_rate=config.sampling_rate,
                frame_length=config.frame_length,
                frame_shift=config.frame_shift,
                num_mel_bins=config.bins,
                dither=0.0,
            )
        )

    def mel_filters(self) -> torch.Tensor:
        """The Mel filters (frequency, bin), over power spectra."""
        filters: torch.Tensor = self._extractor.extractor._fb.detach()
        return filters

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Features, float32 (time, bin), of samples (sample,) at config.sampling_rate."""
        return from_steps(self.extract_steps(samples))

    def extract_steps(self, samples: np.ndarray) -> np.ndarray:
        """Features in units of 1/STEPS, int16 (time, bin). Raises AudioProblem for less than one frame.

        Raises UserError if a step lacks its package.
        """
        frame = round(self.config.frame_length * self.config.sampling_rate)
        if len(samples) < frame:
            raise AudioProblem("too short", f"{len(samples)} samples, a frame has {frame}")
        samples = apply_steps(samples, self.config.sampling_rate, self.steps)
        with torch.no_grad():
            features = self._extractor.extract(torch.from_numpy(samples), self.config.sampling_rate)
            rounded = features.mul_(STEPS).round_().clamp_(-32768, 32767)
            steps: np.ndarray = rounded.to(torch.int16).numpy()
        return steps


def from_steps(steps: np.ndarray) -> np.ndarray:
    """Multiples of 1/STEPS as float32; exact."""
    return steps.astype(np.float32) * np.float32(1.0 / STEPS)

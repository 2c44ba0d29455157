"""Read and resample audio."""

import functools
import math
from pathlib import Path

import numpy as np
import torch
from lhotse.augmentation.resample import Resample

from asrkit.corpus.audio import AudioProblem, check_samples, open_audio, read_blocks

MAX_FILTER_WEIGHTS = 1 << 26  # of a resampler; rates without a common factor need the most
_resampler = functools.lru_cache(maxsize=16)(Resample)


def read_samples(file: Path, first: int, count: int) -> np.ndarray:
    """`count` samples from `first` on: float32 (sample,), in -1 to 1 for PCM.

    Raises AudioProblem for audio that is truncated, unreadable, out of range or not mono.
    """
    with open_audio(file) as sound:
        if sound.channels != 1:
            raise AudioProblem("more than one channel", f"found {sound.channels}, expected 1")
        samples = np.concatenate([np.empty(0, np.float32), *read_blocks(sound, first, count)])
    if len(samples) < count:
        raise AudioProblem("truncated", f"found {len(samples)} samples from {first} on, expected {count}")
    check_samples(samples, f"in {file}")
    return samples


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Resample (sample,) from `rate` to `new_rate` Hz by band-limited interpolation; raises AudioProblem."""
    if rate == new_rate or not len(samples):  # lhotse fails on an empty recording
        return samples
    if rate * new_rate // math.gcd(rate, new_rate) ** 2 > MAX_FILTER_WEIGHTS:
        raise AudioProblem("unusable sampling rate", f"from {rate} to {new_rate} Hz takes gigabytes")
    resampled: np.ndarray = _resampler(rate, new_rate)(torch.from_numpy(samples)).numpy()
    return resampled

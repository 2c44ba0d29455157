"""Level, clipping and silence of a recording."""

import dataclasses
from typing import Tuple

import numpy as np

FRAME_SECONDS = 0.025
SILENCE_DECIBELS = 30.0  # a frame this far below the loud ones is silence
LOUD_PERCENTILE = 95.0  # of frame energies: not the maximum, since a click would make the rest silence
FULL_SCALE = 32766 / 32768  # clipped from here on
QUIETEST_DECIBELS = -80.0  # dBFS; quieter is not sound but, for example, 16-bit dither
FLOOR = 1e-10  # -100 dB
ABOVE_FLOOR = -99.9  # dB; digital zeros are below it


@dataclasses.dataclass(frozen=True)
class Level:
    """Measurements of one utterance."""

    decibels: float  # RMS relative to full scale, dBFS
    clipped: float  # fraction of samples
    silence: float  # fraction of frames


def measure_level(samples: np.ndarray, rate: int) -> Level:
    """Measure samples (sample,) in -1 to 1 at `rate` Hz."""
    _, silent = _find_silence(samples, rate)
    energy = float(np.square(samples, dtype=np.float64).mean())
    return Level(
        decibels=10 * float(np.log10(max(energy, FLOOR))),
        clipped=float((np.abs(samples) >= FULL_SCALE).mean()),
        silence=float(silent.mean()),
    )


def without_silence(samples: np.ndarray, rate: int) -> np.ndarray:
    """The samples (sample,) of frames that aren't silent: recordings of noise may be padded."""
    frames, silent = _find_silence(samples, rate)
    loud: np.ndarray = frames[~silent].reshape(-1)
    return loud


def is_digital_silence(samples: np.ndarray, rate: int) -> np.ndarray:
    """Mark the samples (sample,) of frames that are all zeros, such as padding.

    An incomplete frame at the end counts as sound.
    """
    length = max(1, round(FRAME_SECONDS * rate))
    padded = np.pad(samples != 0, (0, -len(samples) % length), constant_values=True)
    silent: np.ndarray = ~padded.reshape(-1, length).any(axis=1)
    return silent.repeat(length)[: len(samples)]


def _find_silence(samples: np.ndarray, rate: int) -> Tuple[np.ndarray, np.ndarray]:
    """Frames (frame, sample), and whether each is silent, (frame,)."""
    length = max(1, min(len(samples), round(FRAME_SECONDS * rate)))
    frames = samples[: len(samples) // length * length].reshape(-1, length)
    energies = 10 * np.log10(np.maximum(np.square(frames, dtype=np.float64).mean(axis=1), FLOOR))
    loud = np.percentile(energies, LOUD_PERCENTILE)
    if loud < QUIETEST_DECIBELS:  # there may be less sound than the percentile leaves out
        loud = energies.max()
    return frames, energies < max(loud - SILENCE_DECIBELS, min(loud, ABOVE_FLOOR))

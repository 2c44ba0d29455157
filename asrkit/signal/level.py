"""How loud a recording is, how much of it is clipped, and how much is silence."""

import dataclasses

import numpy as np

FRAME_SECONDS = 0.025
SILENCE_DECIBELS = 30.0  # a frame this much below the loud ones is silence
LOUD_PERCENTILE = 95.0  # of the frames' energies: one click doesn't make everything else silence
FULL_SCALE = 32766 / 32768  # from here on a sample counts as clipped
FLOOR = 1e-10  # -100 decibels: as low as it goes


@dataclasses.dataclass(frozen=True)
class Level:
    """Measured on one utterance."""

    decibels: float  # root mean square, against full scale
    clipped: float  # share of samples
    silence: float  # share of time


def measure_level(samples: np.ndarray, rate: int) -> Level:
    """Level of samples (sample,) in -1 to 1 at `rate` Hz."""
    length = max(1, min(len(samples), round(FRAME_SECONDS * rate)))
    frames = samples[: len(samples) // length * length].reshape(-1, length)  # (frame, sample)
    energies = 10 * np.log10(np.maximum(np.square(frames, dtype=np.float64).mean(axis=1), FLOOR))
    silent = energies < np.percentile(energies, LOUD_PERCENTILE) - SILENCE_DECIBELS
    energy = float(np.square(samples, dtype=np.float64).mean())
    return Level(
        decibels=10 * float(np.log10(max(energy, FLOOR))),
        clipped=float((np.abs(samples) >= FULL_SCALE).mean()),
        silence=float(silent.mean()),
    )

"""The learning rate at each step."""

import math

from asrkit.config import TrainConfig


def learning_rate(config: TrainConfig, step: int, progress: float) -> float:
    """Linear warm-up over the first steps, times a cosine over the whole run.

    `step` counts from 0; `progress` is the share of the run that is done, 0 to 1.
    Source: Loshchilov and Hutter 2017 (SGDR), without restarts.
    """
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    floor = config.final_rate_fraction
    cosine = floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return config.learning_rate * warmup * cosine

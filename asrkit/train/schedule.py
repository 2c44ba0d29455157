"""The learning rate at each step."""

import math

from asrkit.config import TrainConfig


def learning_rate(config: TrainConfig, step: int, progress: float) -> float:
    """train.learning_rate times linear warm-up times the decay of train.schedule.

    `step` counts from 0; `progress` is the share of the run that is done, 0 to 1.
    """
    warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
    return config.learning_rate * warmup * DECAYS[config.schedule](config, step, progress)


def _cosine(config: TrainConfig, step: int, progress: float) -> float:
    """Half a cosine over the whole run (Loshchilov and Hutter 2017, SGDR, without restarts)."""
    floor = config.final_rate_fraction
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def _noam(config: TrainConfig, step: int, progress: float) -> float:
    """1 / sqrt(step) after warm-up (Vaswani et al. 2017)."""
    return min(1.0, math.sqrt(max(1, config.warmup_steps) / (step + 1)))


def _eden(config: TrainConfig, step: int, progress: float) -> float:
    """Falls with the square root of steps and of epochs, past a mark (Yao et al. 2023, Zipformer)."""
    steps, epochs = step / config.eden_steps, progress * config.epochs / config.eden_epochs
    return float(((1.0 + steps**2) * (1.0 + epochs**2)) ** -0.25)


DECAYS = {"cosine": _cosine, "noam": _noam, "eden": _eden}

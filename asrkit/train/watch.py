"""Detection of divergence and of steps that are not finite; utilisation of the hardware."""

import math
import statistics
import time
from pathlib import Path
from typing import Any, Dict, Sequence

import torch

from asrkit.errors import UserError
from asrkit.storage.tensors import save_tensors
from asrkit.train.checkpoint import TrainState
from asrkit.train.examples import Example, count_utterances

SKIPS_ALLOWED = 3  # steps in train.skip_window: a bad utterance is skipped, a bad setting is an error

# Divergence: a loss above LOSS_FACTOR * lowest + LOSS_MARGIN
LOSS_FACTOR = 2.0  # a converging loss varies by tenths of itself
LOSS_MARGIN = 0.2  # nats per frame, for losses near 0; predicting only blanks costs 0.4 to 1
WINDOW = 50  # steps, over which the training loss is a median: a single batch may be hard
ERRORS_MARGIN = 0.1  # of dev's words: overfitting raises the dev loss too, but hardly the errors


class Divergence(UserError):
    """Training diverged; rolled back once, then fatal."""


class Utilisation:
    """How an epoch's time was spent; of a resumed epoch, since it resumed."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.step_seconds = 0.0
        self.audio_seconds = 0.0

    def add_step(self, seconds: float, audio_seconds: float) -> None:
        """Count a step."""
        self.step_seconds += seconds
        self.audio_seconds += audio_seconds

    def row(self, device: torch.device) -> Dict[str, Any]:
        """Audio seconds per second, the fraction of time in steps, and peak bytes of a GPU."""
        seconds = time.monotonic() - self._begun
        figures = {
            "audio_rate": round(self.audio_seconds / seconds, 1),
            "step_share": round(self.step_seconds / seconds, 3),
        }
        if device.type == "cuda":
            figures["peak_memory"] = torch.cuda.max_memory_allocated(device)
        return figures


def skip_step(
    state: TrainState, examples: Sequence[Example], loss: float, window: int, directory: Path, is_main: bool
) -> None:
    """Count a step whose loss or gradient is not finite, and write its examples to skipped_steps/.

    Raises UserError after more such steps within `window` than a bad utterance explains if features are bad,
    since a rollback can't help then; else Divergence.
    """
    state.skipped += 1
    state.skipped_lately = [step for step in state.skipped_lately if step > state.step - window]
    state.skipped_lately.append(state.step)
    bad = [example.id for example in examples if not torch.isfinite(example.features).all()]
    if bad:
        cause = f"features of {', '.join(bad[:3])} hold NaN or infinity"
    elif not math.isfinite(loss):
        cause = "the features are finite and the loss is not: the weights are too large"
    else:
        cause = "the loss is finite and its gradient is not: the learning rate is too high"
    if is_main:
        file = directory / "skipped_steps" / f"step-{state.step:08d}.safetensors"
        rows = [{"id": example.id, "text": example.text} for example in examples]
        tensors = {example.id: example.features for example in examples}
        save_tensors(file, tensors, {"cause": cause, "examples": rows})
        utterances = count_utterances(examples)
        print(f"train: step {state.step} skipped ({utterances} utterances): {cause}; see {file.name}")
    times = len(state.skipped_lately)
    if times > SKIPS_ALLOWED:
        raise (UserError if bad else Divergence)(
            f"loss or gradient not finite at step {state.step}, for the {times}th time: {cause}",
            expected=f"at most {SKIPS_ALLOWED} such steps in train.skip_window, {window}",
            where=f"utterances of these steps in {directory / 'skipped_steps'}",
            todo="fix these utterances; else lower train.learning_rate or raise train.warmup_steps",
        )


def watch_training_loss(state: TrainState, loss: float) -> None:
    """Add a step's loss per frame; raise Divergence if the median of the last is far above the lowest."""
    state.recent_losses = [*state.recent_losses, loss][-WINDOW:]
    if len(state.recent_losses) < WINDOW:
        return
    median = statistics.median(state.recent_losses)
    best = median if state.best_loss is None else state.best_loss
    if not median <= _limit(best):  # true for NaN
        raise Divergence(
            f"the training loss (median of {WINDOW} steps) is {median:.3f}",
            expected=f"at most {_limit(best):.3f}; the lowest so far is {best:.3f}",
        )
    state.best_loss = min(best, median)


def watch_dev(log: Sequence[Dict[str, Any]], row: Dict[str, Any]) -> None:
    """Raise Divergence if loss and errors on dev are far above the lowest of the epochs in `log`."""
    if not log:
        return
    loss, errors = min(old["loss"] for old in log), min(old["errors"] for old in log)
    if not row["loss"] <= _limit(loss) and row["errors"] > errors + ERRORS_MARGIN * row["words"]:
        raise Divergence(
            f"the dev loss is {row['loss']:.3f} with {row['errors']} errors",
            expected=f"at most {_limit(loss):.3f}; the lowest so far are {loss:.3f} and {errors} errors",
        )


def _limit(best: float) -> float:
    return LOSS_FACTOR * best + LOSS_MARGIN

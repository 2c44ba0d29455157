"""What is watched during training, and what is done when numbers stop being finite."""

import math
import statistics
import time
from pathlib import Path
from typing import Any, Dict, List, Sequence

import torch
from torch import Tensor, nn

from asrkit.errors import UserError
from asrkit.storage.tensors import save_tensors
from asrkit.train.checkpoint import Position
from asrkit.train.examples import Example

SKIPS_ALLOWED = 3  # steps of a run; one bad utterance is passed over, a bad setting stops

# A loss is far above the best when it is more than twice that and a margin.
LOSS_FACTOR = 2.0  # without divergence it wavers by tenths of itself
LOSS_MARGIN = 0.2  # nats a frame, for twice next to nothing is little; blanks alone cost 0.4 to 1
WINDOW = 50  # steps; their median, for one batch of hard utterances means nothing
ERRORS_MARGIN = 0.1  # of dev's words: overfitting raises the loss on dev too, but hardly its errors


class Divergence(UserError):
    """The weights have gone astray; training goes back from this once."""


class Utilisation:
    """What an epoch's time went to; an epoch that is resumed counts from there."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.step_seconds = 0.0
        self.audio_seconds = 0.0

    def add_step(self, seconds: float, audio_seconds: float) -> None:
        """Note a step."""
        self.step_seconds += seconds
        self.audio_seconds += audio_seconds

    def row(self, device: torch.device) -> Dict[str, Any]:
        """Audio seconds a second, the share of time inside steps, and bytes at most on a GPU."""
        seconds = time.monotonic() - self._begun
        figures = {
            "audio_rate": round(self.audio_seconds / seconds, 1),
            "step_share": round(self.step_seconds / seconds, 3),
        }
        if device.type == "cuda":
            figures["peak_memory"] = torch.cuda.max_memory_allocated(device)
        return figures


def running_statistics(model: nn.Module) -> List[Tensor]:
    """The buffers of normalisation that a forward pass changes."""
    return [buffer for name, buffer in model.named_buffers() if "running_" in name]


def restore_statistics(model: nn.Module, kept: Sequence[Tensor]) -> None:
    """Put back what running_statistics gave, so that a bad batch leaves no trace in the model."""
    for buffer, before in zip(running_statistics(model), kept):
        buffer.copy_(before)


def bad_examples(examples: Sequence[Example]) -> List[str]:
    """Ids of those whose features aren't finite."""
    return [example.id for example in examples if not torch.isfinite(example.features).all()]


def explain_fault(examples: Sequence[Example], loss: float) -> str:
    """The likely cause, in words, of a loss or gradient that isn't finite."""
    bad = bad_examples(examples)
    if bad:
        return f"features of {', '.join(bad[:3])} hold NaN or infinity"
    if not math.isfinite(loss):
        return "the features are finite and the loss isn't: the weights have grown too far"
    return "the loss is finite and its gradient isn't: the steps are too large"


def keep_examples(directory: Path, step: int, examples: Sequence[Example], cause: str) -> Path:
    """Write features, ids and transcripts of a step to skipped_steps/, to be looked at."""
    file = directory / "skipped_steps" / f"step-{step:08d}.safetensors"
    about = {"cause": cause, "examples": [{"id": example.id, "text": example.text} for example in examples]}
    save_tensors(file, {example.id: example.features for example in examples}, about)
    return file


def refuse_more_skips(position: Position, cause: str, examples: Sequence[Example], directory: Path) -> None:
    """Raise when more steps had to be skipped than one bad utterance explains.

    UserError where features are at fault, which no return mends; else Divergence.
    """
    if position.skipped > SKIPS_ALLOWED:
        kind = UserError if bad_examples(examples) else Divergence
        raise kind(
            f"loss or gradient not finite at step {position.step}, for the {position.skipped}th time: "
            f"{cause}",
            expected=f"at most {SKIPS_ALLOWED} such steps",
            where=f"utterances of those steps in {directory / 'skipped_steps'}",
            todo="fix those utterances; else lower train.learning_rate, or raise train.warmup_steps",
        )


def watch_training_loss(position: Position, loss: float) -> None:
    """Take in a step's loss a frame; raise Divergence when the last ones are far above the lowest."""
    position.recent_losses = [*position.recent_losses, loss][-WINDOW:]
    if len(position.recent_losses) < WINDOW:
        return
    median = statistics.median(position.recent_losses)
    best = median if position.best_loss is None else position.best_loss
    if _far_above(median, best):
        raise Divergence(
            f"the training loss of the last {WINDOW} steps, their median, is {median:.3f}",
            expected=f"near the lowest so far, {best:.3f}; at most {_highest(best):.3f}",
        )
    position.best_loss = min(best, median)


def watch_dev(log: Sequence[Dict[str, Any]], row: Dict[str, Any]) -> None:
    """Raise Divergence when loss and errors on dev are far above the lowest of the epochs in `log`."""
    if not log:
        return
    loss, errors = min(old["loss"] for old in log), min(old["errors"] for old in log)
    if _far_above(row["loss"], loss) and row["errors"] > errors + ERRORS_MARGIN * row["words"]:
        raise Divergence(
            f"the loss on dev is {row['loss']:.3f} with {row['errors']} errors",
            expected=f"near the lowest so far, {loss:.3f} and {errors}; at most {_highest(loss):.3f}",
        )


def _far_above(loss: float, best: float) -> bool:
    return not loss <= _highest(best)  # NaN is far above all


def _highest(best: float) -> float:
    return LOSS_FACTOR * best + LOSS_MARGIN

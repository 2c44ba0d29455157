"""What is watched during training, and what is done when numbers stop being finite."""

import math
from pathlib import Path
from typing import List, Sequence

import torch
from torch import Tensor, nn

from asrkit.errors import UserError
from asrkit.storage.tensors import save_tensors
from asrkit.train.examples import Example

SKIPS_ALLOWED = 3  # steps of a run; one bad utterance is passed over, a bad setting stops


def running_statistics(model: nn.Module) -> List[Tensor]:
    """The buffers of normalisation that a forward pass changes."""
    return [buffer for name, buffer in model.named_buffers() if "running_" in name]


def restore_statistics(model: nn.Module, kept: Sequence[Tensor]) -> None:
    """Put back what running_statistics gave, so that a bad batch leaves no trace in the model."""
    for buffer, before in zip(running_statistics(model), kept):
        buffer.copy_(before)


def explain_fault(examples: Sequence[Example], loss: float) -> str:
    """The likely cause, in words, of a loss or gradient that isn't finite."""
    bad = [example.id for example in examples if not torch.isfinite(example.features).all()]
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


def refuse_more_skips(skipped: int, step: int, cause: str, directory: Path) -> None:
    """Raise UserError when more steps had to be skipped than one bad utterance explains."""
    if skipped > SKIPS_ALLOWED:
        raise UserError(
            f"loss or gradient not finite at step {step}, for the {skipped}th time: {cause}",
            expected=f"at most {SKIPS_ALLOWED} such steps",
            where=f"utterances of those steps in {directory / 'skipped_steps'}",
            todo="mend those utterances; else lower train.learning_rate, or raise train.warmup_steps",
        )

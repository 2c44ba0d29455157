"""A model stage by stage: shapes, parameters, multiply-adds, receptive field."""

import collections
import dataclasses
import functools
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Sequence, Tuple

import torch
from torch import nn

if TYPE_CHECKING:
    from asrkit.model.acoustic import AcousticModel

SECONDS = 10.0  # length of the utterance that is measured; attention costs more per second in longer ones
UNITS_PER_SECOND = 10  # of that utterance: the attention decoder runs once per unit
CONTEXT = 2  # units that a transducer's predictor sees


class Stage(NamedTuple):
    """A stage of a model, as the front end, the encoder and the decoder list them."""

    name: str
    modules: Sequence[nn.Module]  # in the order of the forward pass; the output is that of the last one
    kernels: Sequence[Tuple[float, int]] = ()  # (kernel, stride) over time; kernel math.inf: whole utterance


@dataclasses.dataclass(frozen=True)
class Part:
    """Cost and receptive field of a stage."""

    name: str
    output: str  # shape per frame
    frame_milliseconds: float  # of the attention decoder: per unit
    parameters: int
    multiply_adds: int  # per second of audio
    receptive_milliseconds: float  # of audio that one output depends on; infinite with attention


def describe_model(model: "AcousticModel", frame_shift: float) -> List[Part]:
    """The stages in the order of the forward pass; `frame_shift` in seconds."""
    encoder, decoder = model.stages(), model.decoder.stages() if model.decoder is not None else []
    stages = [*encoder, *decoder, *(model.transducer.stages() if model.transducer is not None else [])]
    shapes, work = _measure(model, stages, frame_shift)
    parts: List[Part] = []
    stride, seen = 1, 1.0
    for stage in stages:
        for kernel, by in stage.kernels:
            seen += (kernel - 1) * stride
            stride *= by
        parts.append(
            Part(
                name=stage.name,
                output=shapes[stage.name],
                frame_milliseconds=1000 / UNITS_PER_SECOND
                if stage in decoder
                else 1000 * stride * frame_shift,
                parameters=sum(p.numel() for module in stage.modules for p in module.parameters()),
                multiply_adds=round(work[stage.name] / SECONDS),
                receptive_milliseconds=1000 * seen * frame_shift,
            )
        )
    return parts


def _pass_utterance(model: "AcousticModel", frame_shift: float) -> None:
    """Run the encoder and what else the model has on an utterance of SECONDS."""
    was_training, frames = model.training, round(SECONDS / frame_shift)
    model.eval()
    encoded, _, lengths = model.encode(torch.zeros(1, frames, model.bins), torch.tensor([frames]))
    if model.decoder is not None:
        tokens = torch.ones(1, round(UNITS_PER_SECOND * SECONDS), dtype=torch.long)
        model.decoder(tokens, encoded, lengths)
    if model.transducer is not None:
        tokens = torch.ones(1, encoded.shape[1] + CONTEXT - 1, dtype=torch.long)  # a unit in each frame
        predicted = model.transducer.predictor(model.transducer.predict(tokens))
        model.transducer.join(model.transducer.encoder(encoded), predicted)
    model.train(was_training)


@torch.no_grad()
def _measure(
    model: "AcousticModel", stages: Sequence[Stage], frame_shift: float
) -> Tuple[Dict[str, str], Dict[str, int]]:
    """Output shapes per frame, and multiply-adds, by stage, for an utterance of SECONDS."""
    shapes: Dict[str, str] = {}
    work: Dict[str, int] = collections.Counter()

    def count(stage: Stage, module: nn.Module, inputs: Any, output: Any) -> None:
        work[stage.name] += _multiply_adds(module, inputs, output)
        if module is stage.modules[-1]:
            # (1, channel, frame, bin) in the front end, (1, frame, dim) after it
            tensor = output[0] if isinstance(output, tuple) else output
            sizes = (tensor.shape[1], tensor.shape[3]) if tensor.dim() == 4 else (tensor.shape[2],)
            shapes[stage.name] = " x ".join(map(str, sizes))

    hooks = [
        child.register_forward_hook(functools.partial(count, stage))
        for stage in stages
        for module in stage.modules
        for child in module.modules()
    ]
    _pass_utterance(model, frame_shift)
    for hook in hooks:
        hook.remove()
    return shapes, work


def _multiply_adds(module: nn.Module, inputs: Any, output: Any) -> int:
    """Those of a layer's weight, or those that a module counts itself."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        return int(output.numel() * module.weight[0].numel())
    own = getattr(module, "multiply_adds", None)
    return int(own(inputs, output)) if own is not None else 0

"""A model stage by stage: shapes, parameters, work, and how much sound each output sees."""

import dataclasses
from typing import Any, Dict, List, Tuple

import torch
from torch import Tensor, nn

from asrkit.model.acoustic import AcousticModel
from asrkit.model.attention import AttentionBlock, CrossAttention, RelativeSelfAttention, SelfAttention

SECONDS = 10.0  # of the utterance that is measured; attention's work a second grows with it
UNITS_A_SECOND = 10  # of that utterance, which are the decoder's frames


@dataclasses.dataclass(frozen=True)
class Part:
    """One stage of the model."""

    name: str
    output: str  # shape a frame
    frame_milliseconds: float  # in the attention decoder a unit's
    parameters: int
    multiply_adds: int  # a second of audio
    receptive_milliseconds: float  # of sound seen by one output; infinite where attention sees all


def describe_model(model: AcousticModel, frame_shift: float) -> List[Part]:
    """The parts in the order that sound passes; `frame_shift` in seconds."""
    pieces = _pieces(model)
    shapes, work = _measure(model, pieces, frame_shift)
    parts: List[Part] = []
    stride, seen = 1, 1
    of_decoder = set(model.decoder.modules() if model.decoder is not None else ())
    for name, modules in pieces.items():
        for module in modules:
            for kernel, by in _time_kernels(module):
                seen += (kernel - 1) * stride
                stride *= by
        children = [child for module in modules for child in module.modules()]
        attends = any(isinstance(child, (SelfAttention, CrossAttention)) for child in children)
        frame = 1000 * stride * frame_shift
        sees_all = attends or bool(parts and parts[-1].receptive_milliseconds == float("inf"))
        parts.append(
            Part(
                name=name,
                output=shapes[name],
                frame_milliseconds=1000 / UNITS_A_SECOND if modules[-1] in of_decoder else frame,
                parameters=sum(p.numel() for module in modules for p in module.parameters()),
                multiply_adds=round(work[name] / SECONDS),
                receptive_milliseconds=float("inf") if sees_all else 1000 * seen * frame_shift,
            )
        )
    return parts


def activation_bytes(model: AcousticModel, frame_shift: float) -> float:
    """Bytes a second of audio that a training pass keeps for its backward pass, weights left out.

    Counted on one utterance of SECONDS in single precision; attention's share grows with its length.
    """
    sizes: Dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.data_ptr()  # several operations keep the same one
        sizes[place] = max(sizes.get(place, 0), tensor.numel() * tensor.element_size())
        return tensor

    was_training = model.training
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        results = _pass_utterance(model.train(), frame_shift)  # what is kept lives as long as they do
    model.train(was_training)
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    kept = sum(size for place, size in sizes.items() if place not in weights)
    del results
    return kept / SECONDS


def _pass_utterance(model: AcousticModel, frame_shift: float) -> List[Tensor]:
    """Results of an utterance of SECONDS in the encoder and, where there is one, in the decoder."""
    frames = round(SECONDS / frame_shift)
    encoded, log_probs, lengths = model.encode(torch.zeros(1, frames, model.bins), torch.tensor([frames]))
    if model.decoder is None:
        return [log_probs]
    tokens = torch.ones(1, round(UNITS_A_SECOND * SECONDS), dtype=torch.long)
    return [log_probs, model.decoder(tokens, encoded, lengths)]


def _pieces(model: AcousticModel) -> Dict[str, List[nn.Module]]:
    front = model.front
    pieces: Dict[str, List[nn.Module]] = {"stem": [front.conv1, front.bn1]}
    for stage in front.stages:
        pieces[stage] = list(getattr(front, stage))
    pieces["project"] = [model.project]
    for index, block in enumerate(model.blocks):
        pieces[f"block{index + 1}"] = [block]
    pieces["output"] = [model.norm, model.output]
    if model.decoder is not None:
        for index, block in enumerate(model.decoder.blocks):
            pieces[f"decoder{index + 1}"] = [model.decoder.embedding, block] if index == 0 else [block]
        pieces["prediction"] = [model.decoder.norm, model.decoder.output]
    return pieces


def _time_kernels(module: nn.Module) -> List[Tuple[int, int]]:
    """(kernel, stride) in time of the convolutions that follow each other in a part of the front."""
    if isinstance(module, nn.Conv2d):
        return [(module.kernel_size[0], module.stride[0])]
    if isinstance(module, AttentionBlock):
        return [(module.convolution.depthwise.kernel_size[0], 1)] if module.convolution else []
    branch = [getattr(module, f"conv{number}", None) for number in (1, 2, 3)]
    return [(conv.kernel_size[0], conv.stride[0]) for conv in branch if isinstance(conv, nn.Conv2d)]


@torch.no_grad()
def _measure(
    model: AcousticModel, pieces: Dict[str, List[nn.Module]], frame_shift: float
) -> Tuple[Dict[str, str], Dict[str, int]]:
    """Output shapes a frame, and multiply-adds in all, of one utterance of SECONDS."""
    shapes: Dict[str, str] = {}
    work = dict.fromkeys(pieces, 0)
    hooks = []
    for name, modules in pieces.items():

        def count(module: nn.Module, inputs: Any, output: Any, name: str = name) -> None:
            work[name] += _multiply_adds(module, inputs, output)

        def keep(module: nn.Module, inputs: Any, output: Any, name: str = name) -> None:
            # (1, channel, frame, bin) in the front, then (1, frame, dim)
            tensor = output[0] if isinstance(output, tuple) else output
            sizes = (tensor.shape[1], tensor.shape[3]) if tensor.dim() == 4 else (tensor.shape[2],)
            shapes[name] = " x ".join(map(str, sizes))

        hooks.append(modules[-1].register_forward_hook(keep))
        for module in modules:
            hooks += [child.register_forward_hook(count) for child in module.modules()]
    was_training = model.training
    _pass_utterance(model.eval(), frame_shift)
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return shapes, work


def _multiply_adds(module: nn.Module, inputs: Any, output: Any) -> int:
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        return int(output.numel() * module.weight[0].numel())
    if isinstance(module, CrossAttention):
        return int(2 * inputs[1].shape[1] * output.numel())
    if isinstance(module, SelfAttention):  # queries with keys, weights with values, queries with distances
        products = 4 if isinstance(module, RelativeSelfAttention) else 2
        return int(products * output.shape[1] * output.numel())
    return 0

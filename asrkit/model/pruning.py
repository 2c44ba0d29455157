"""Structured pruning: a plain, smaller model without the least channels, heads and feed-forward units.

A residual block of 4 inner channels, keep 0.5, scales of its first normalisation 0.9 0.1 0.2 0.7:

    conv1.weight (4, in, 3, 3)   rows 0 and 3       ->  (2, in, 3, 3)
    bn1.*        (4,)            entries 0 and 3    ->  (2,)
    conv2.weight (out, 4, 3, 3)  columns 0 and 3    ->  (out, 2, 3, 3)

Only what is inside a block is cut: residual connections, and what reads them, keep their widths.
"""

from typing import Iterator, List, NamedTuple, Tuple

import msgspec
import torch
from torch import Tensor

from asrkit.config import ModelConfig
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.model.attention import SelfAttention
from asrkit.model.encoder import ConformerBlock
from asrkit.model.front import ResidualBlock, ResidualFront


class Cut(NamedTuple):
    """What to keep of a hidden layer."""

    kept: Tensor  # indices, in order
    written_by: List[Tuple[str, int]]  # tensors with its channels in dimension 0, so many times
    read_by: str  # the weight with its channels in dimension 1


def prune(model: AcousticModel, keep: float) -> AcousticModel:
    """A model with a share `keep` of the channels inside residual blocks, heads and feed-forward units.

    Channels are ranked by the scale of their normalisation (Liu et al. 2017, network slimming), feed-forward
    units by the norm of their weights (Li et al. 2017), heads by that of their output. Raises UserError for a
    share that isn't above 0 and at most 1, and for a front that isn't a ResNet.
    """
    if not 0 < keep <= 1:
        raise UserError(f"keep is {keep:g}", "above 0, at most 1", "--keep", "for example --keep 0.5")
    tensors = dict(model.state_dict())
    for cut in find_cuts(model, keep):
        for name, times in cut.written_by:
            tensors[name] = torch.cat([part[cut.kept] for part in tensors[name].chunk(times)])
        tensors[cut.read_by] = tensors[cut.read_by][:, cut.kept]
    pruned = AcousticModel(pruned_config(model.config, keep), model.bins, model.units)
    pruned.load_state_dict(tensors)
    return pruned.train(model.training)


def pruned_config(config: ModelConfig, keep: float) -> ModelConfig:
    """The settings of the pruned model."""
    return msgspec.structs.replace(
        config,
        inner_channels=tuple(_share(width, keep) for width in config.inner_channels or config.stage_channels),
        encoder_heads=_share(config.encoder_heads or config.attention_heads, keep),
        encoder_feedforward_dim=_share(config.encoder_feedforward_dim or config.feedforward_dim, keep),
    )


def find_cuts(model: AcousticModel, keep: float) -> Iterator[Cut]:
    """What to keep of each layer that is cut."""
    if not isinstance(model.front, ResidualFront):
        raise UserError(f"the front {model.config.front} can't be pruned", "a ResNet", "model.front")
    for name, module in model.named_modules():
        if isinstance(module, ResidualBlock):
            yield from _cuts_of_block(name, module, keep)
        elif isinstance(module, ConformerBlock):
            if module.attention is not None:
                yield _cut_of_heads(f"{name}.attention", module.attention, keep)
            into, out = module.expand.weight, module.contract.weight
            written = [(f"{name}.expand.weight", 1), (f"{name}.expand.bias", 1)]
            yield Cut(_largest(into.norm(dim=1) * out.norm(dim=0), keep), written, f"{name}.contract.weight")


def _cuts_of_block(name: str, block: ResidualBlock, keep: float) -> Iterator[Cut]:
    for number in range(1, len(block.kernels)):
        norm = getattr(block, f"bn{number}")
        kinds = [kind for kind, of in norm.state_dict().items() if of.dim() == 1]
        written = [(f"{name}.conv{number}.weight", 1), *((f"{name}.bn{number}.{kind}", 1) for kind in kinds)]
        yield Cut(_largest(norm.weight.abs(), keep), written, f"{name}.conv{number + 1}.weight")


def _cut_of_heads(name: str, attention: SelfAttention, keep: float) -> Cut:
    """Keeps the same rows of queries, keys and values, which are stacked."""
    heads, width = attention.heads, attention.inner // attention.heads
    kept = _largest(attention.output.weight.view(-1, heads, width).pow(2).sum(dim=(0, 2)), keep)
    rows = (kept[:, None] * width + torch.arange(width)).flatten()
    stacked = {3 * attention.inner: 3, attention.inner: 1}  # rows: matrices on top of each other
    written = []
    for kind, of in attention.state_dict().items():
        if not kind.startswith("output."):
            written.append((f"{name}.{kind}", stacked[len(of)]))
    return Cut(rows, written, f"{name}.output.weight")


def _largest(scores: Tensor, keep: float) -> Tensor:
    """Indices of the largest scores, in order."""
    kept: Tensor = scores.topk(_share(len(scores), keep)).indices.sort().values
    return kept


def _share(width: int, keep: float) -> int:
    return max(1, round(width * keep))

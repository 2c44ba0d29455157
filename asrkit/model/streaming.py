"""The acoustic model chunk by chunk, with what it keeps of earlier frames as tensors.

Chunk 2 of 8 encoder frames, subsampling factor 4, and a front end that reads 27 feature frames on each side:

    feature frames   |-- 28, kept --|-- 32, of the chunk --|-- 24, look-ahead --|
    front end                       o o o o o o o o                               8 frames, as of the whole
    encoder          |- 64 keys and values, 14 inputs of the convolution, kept -| o o o o o o o o

Frames before the beginning are masked in every layer, as padding is: the output equals that of the whole
utterance with chunk_mask.
"""

from typing import List, Sequence, Tuple

import torch
from torch import Tensor, nn

from asrkit.config.checks import streaming_conflicts
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel, subsampling
from asrkit.model.attention import BlockCache
from asrkit.model.device import move
from asrkit.model.encoder import heads_of

State = Tuple[Tensor, ...]  # frames so far (batch,), features (batch, time, bin), then 3 tensors per block
CACHED = ("keys", "values", "gated")  # of a BlockCache, in this order


class StreamingModel(nn.Module):
    """An acoustic model for chunks of `chunk` encoder frames; raises UserError for one that can't stream."""

    def __init__(self, model: AcousticModel, chunk: int) -> None:
        super().__init__()
        for conflict in streaming_conflicts(model.config):
            todo = f"train a model with train.chunk=25 and {conflict.todo.replace('--set ', '')}"
            raise UserError(conflict.found, "a model that streams", "the acoustic model", todo)
        self.model, self.chunk = model.eval(), chunk
        self.factor, reach, stride = subsampling(model.config), 0, 1
        for stage in model.front.stages():
            for kernel, by in stage.kernels:
                reach, stride = reach + int(kernel) // 2 * stride, stride * by
        # Feature frames before a chunk (a multiple of all strides), after it, of it, and that it needs
        self.kept = -(-reach // self.factor) * self.factor
        self.look_ahead = max(0, reach - self.factor + 1)
        self.shift = chunk * self.factor
        self.window = self.shift + self.look_ahead

    def start(self, batch: int = 1) -> State:
        """The state at the beginning of `batch` streams."""
        config, bins, device = self.model.config, self.model.bins, self.model.feature_mean.device
        heads, width = heads_of(config)
        keys = torch.zeros(batch, heads, config.left_context, width, device=device)
        gated = torch.zeros(batch, config.convolution_kernel - 1, config.attention_dim, device=device)
        frames = torch.zeros(batch, dtype=torch.int64)
        features = torch.zeros(batch, self.kept, bins, device=device)
        return (frames, features, *(keys, keys, gated) * config.attention_blocks)

    def forward(self, features: Tensor, lengths: Tensor, *state: Tensor) -> Tuple[Tensor, Tensor, State]:
        """Log-probabilities (batch, chunk, unit), how many of the frames exist (batch,), the state after.

        `features` (batch, window, bin), not normalised: the chunk's frames and the look-ahead; `lengths`
        (batch,) of them exist, all but at the end of a stream. Lengths are on the CPU.
        """
        model, done, device = self.model, state[0], features.device
        features = torch.cat([state[1], model.normalise(features, lengths)], dim=1)
        starts = torch.clamp(self.kept - done * self.factor, min=0)
        x, ends = model.front(features, lengths + self.kept, starts)
        first = self.kept // self.factor
        x = model.project(x[:, first : first + self.chunk]).float()  # (batch, chunk, attention_dim)
        counts = torch.clamp(ends - first, max=self.chunk)
        left, caches = model.config.left_context, _caches(state[2:])
        times = torch.arange(-left, self.chunk, device=device)[None]
        is_there = (times >= -move(done, device)[:, None]) & (times < move(counts, device)[:, None])
        visible = is_there[:, None, None]  # (batch, 1, 1, key)
        positions = model.blocks[0].positions(left + self.chunk, device) if model.blocks else None
        for block, cache in zip(model.blocks, caches):
            x = block(x, visible[..., left:], positions, visible, cache)
        kept = [getattr(cache, name) for cache in caches for name in CACHED]
        after = (done + self.chunk, features[:, self.shift : self.shift + self.kept], *kept)
        return model.classify(model.norm(x)), counts, after


def _caches(tensors: Sequence[Tensor]) -> List[BlockCache]:
    return [BlockCache(*tensors[first : first + 3]) for first in range(0, len(tensors), 3)]

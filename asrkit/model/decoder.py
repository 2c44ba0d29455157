"""The attention decoder: predicts the next unit from the previous units and the encoder output."""

import math
from typing import List, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asrkit.config import ModelConfig
from asrkit.model.attention import CrossAttention, Dropout, SelfAttention
from asrkit.model.description import Stage
from asrkit.model.device import move


class DecoderBlock(nn.Module):
    """Causal self-attention, cross-attention and feed-forward network, each pre-norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim = config.attention_dim
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim) for _ in range(3))
        self.attention = SelfAttention(dim, config.attention_heads, config.dropout)
        self.cross_attention = CrossAttention(dim, config.attention_heads, config.dropout)
        self.expand = nn.Linear(dim, config.feedforward_dim)
        self.contract = nn.Linear(config.feedforward_dim, dim)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, causal: Tensor, angles: Tensor, encoded: Tensor, inside: Tensor) -> Tensor:
        """(batch * sequence, token, dim) to the same shape; the masks `causal` and `inside` as in attend."""
        x = x + self.dropout(self.attention(self.norm1(x), causal, angles))
        x = x + self.dropout(self.cross_attention(self.norm2(x), encoded, inside))
        hidden = self.dropout(F.silu(self.expand(self.norm3(x))))
        return x + self.dropout(self.contract(hidden))


class Decoder(nn.Module):
    """Transformer decoder (Vaswani et al. 2017), pre-norm, with rotary positions of tokens.

    Its tokens are the units and one more, `boundary`: start of sentence in the input, end of sentence in the
    output. Blank, 0, never occurs in a sequence.
    """

    def __init__(self, config: ModelConfig, units: int) -> None:
        super().__init__()
        self.boundary = units
        self.embedding = nn.Embedding(units + 1, config.attention_dim)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.decoder_blocks))
        self.norm = nn.LayerNorm(config.attention_dim)
        self.output = nn.Linear(config.attention_dim, units + 1)

    def forward(self, tokens: Tensor, encoded: Tensor, frames: Tensor) -> Tensor:
        """Log-probabilities (batch * sequence, token, unit + 1) of the token after each of `tokens`.

        `tokens` (batch * sequence, token): the sequences of an utterance are adjacent, the same number for
        each; `encoded` (batch, frame, dim) is the encoder output, `frames` (batch,) its lengths.
        """
        length, device = tokens.shape[1], tokens.device
        causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()
        ends = move(frames, device)[:, None]
        inside = (torch.arange(encoded.shape[1], device=device)[None] < ends)[:, None, None]
        angles = self.blocks[0].attention.positions(length, device)
        x = self.dropout(self.embedding(tokens))
        for block in self.blocks:
            x = block(x, causal, angles, encoded, inside)
        return F.log_softmax(self.output(self.norm(x)).float(), dim=-1)

    def predict(
        self, sequences: Sequence[Sequence[int]], encoded: Tensor, frames: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Score unit sequences with teacher forcing, the same number of sequences per utterance.

        Returns log-probabilities (sequence, token, unit + 1), the target tokens (sequence, token), each
        sequence followed by `boundary`, and a mask (sequence, token) that is false in padding.
        """
        length = 1 + max(map(len, sequences))
        padded = [[*units, *[self.boundary] * (length - len(units))] for units in sequences]
        targets = move(torch.tensor(padded), encoded.device)  # (sequence, token)
        inside = torch.arange(length) <= torch.tensor([len(units) for units in sequences])[:, None]
        tokens = F.pad(targets[:, :-1], (1, 0), value=self.boundary)
        return self(tokens, encoded, frames), targets, move(inside, encoded.device)

    def stages(self) -> List[Stage]:
        """The decoder's stages; the first module reads tokens, the last one predicts them."""
        blocks = [
            Stage(f"decoder{number}", [block], [(math.inf, 1)]) for number, block in enumerate(self.blocks, 1)
        ]
        first = blocks[0]._replace(modules=[self.embedding, *blocks[0].modules])
        return [first, *blocks[1:], Stage("prediction", [self.norm, self.output])]

"""The attention decoder: units so far and the encoder's output to the next unit."""

from typing import Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asrkit.config import ModelConfig
from asrkit.model.attention import CrossAttention, Dropout, SelfAttention
from asrkit.model.positions import rotary_angles


class DecoderBlock(nn.Module):
    """Causal self-attention, attention to the encoder, feed-forward network, each with pre-norm."""

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
        """(batch * sequence, token, dim) to the same; the masks `causal` and `inside` as in attend."""
        x = x + self.dropout(self.attention(self.norm1(x), causal, angles))
        x = x + self.dropout(self.cross_attention(self.norm2(x), encoded, inside))
        hidden = self.dropout(F.silu(self.expand(self.norm3(x))))
        return x + self.dropout(self.contract(hidden))


class Decoder(nn.Module):
    """Transformer decoder (Vaswani et al. 2017), pre-norm, with rotary positions of tokens.

    Its tokens are the units and, with the number after theirs, `boundary`: the start of a sentence where it
    is read, the end where it is predicted. Blank, 0, is never a token of a sentence.
    """

    def __init__(self, config: ModelConfig, units: int) -> None:
        super().__init__()
        self.boundary = units
        self.head_dim = config.attention_dim // config.attention_heads
        self.embedding = nn.Embedding(units + 1, config.attention_dim)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.decoder_blocks))
        self.norm = nn.LayerNorm(config.attention_dim)
        self.output = nn.Linear(config.attention_dim, units + 1)

    def forward(self, tokens: Tensor, encoded: Tensor, frames: Tensor) -> Tensor:
        """Tokens (batch * sequence, token), each utterance's sequences after one another, with the encoder's
        output (batch, frame, dim), (batch,) to log-probabilities (batch * sequence, token, unit + 1) of
        the token that follows each."""
        length, device = tokens.shape[1], tokens.device
        causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()
        inside = (torch.arange(encoded.shape[1], device=device)[None] < frames[:, None])[:, None, None]
        angles = rotary_angles(length, self.head_dim, device)
        x = self.dropout(self.embedding(tokens))
        for block in self.blocks:
            x = block(x, causal, angles, encoded, inside)
        return F.log_softmax(self.output(self.norm(x)).float(), dim=-1)

    def predict(
        self, sequences: Sequence[Sequence[int]], encoded: Tensor, frames: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities of what follows each prefix of unit sequences, an equal number an utterance.

        Returns them (sequence, token, unit + 1), with the tokens that do follow, the end the last of them,
        (sequence, token), and where those are no padding, (sequence, token).
        """
        length = 1 + max(map(len, sequences))
        padded = [[*units, *[self.boundary] * (length - len(units))] for units in sequences]
        follow = torch.tensor(padded, device=encoded.device)  # (sequence, token)
        inside = torch.arange(length) <= torch.tensor([len(units) for units in sequences])[:, None]
        read = F.pad(follow[:, :-1], (1, 0), value=self.boundary)
        return self(read, encoded, frames), follow, inside.to(encoded.device)

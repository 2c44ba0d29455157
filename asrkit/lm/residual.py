"""A gated convolutional language model with residual links (Dauphin et al. 2017)."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from asrkit.config import NeuralLmConfig
from asrkit.lm.causal import CausalLm
from asrkit.lm.tokeniser import Tokeniser


class GatedBlock(nn.Module):
    """x + GLU(causal convolution of the normalised x)."""

    def __init__(self, dim: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.convolution = nn.Conv1d(dim, 2 * dim, kernel)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(sentence, token, dim) to the same shape; nothing follows a token in its window."""
        past = F.pad(self.norm(x).transpose(1, 2), (self.convolution.kernel_size[0] - 1, 0))
        return x + self.dropout(F.glu(self.convolution(past), dim=1).transpose(1, 2))


class ResidualLm(CausalLm):
    """Blocks that read a sentence's tokens at once; a prediction sees layers * (kernel - 1) + 1 of them."""

    def __init__(self, config: NeuralLmConfig, tokeniser: Tokeniser) -> None:
        super().__init__(config, tokeniser)
        layers: Any = config.layers
        self.blocks = nn.ModuleList(
            GatedBlock(config.dim, config.kernel, config.dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(config.dim)

    def read(self, x: Tensor) -> Tensor:
        """Embedded tokens (sentence, token, dim) to the same shape."""
        for block in self.blocks:
            x = block(x)
        normalised: Tensor = self.norm(x)
        return normalised

"""Dropout whose random numbers are cheap on a CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 256  # of a random byte: probabilities are rounded to 1/256


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014).

    torch's own draws a random number an element on one thread, a tenth of a training step on a CPU;
    here one of 64 bits serves eight elements. On a GPU it is torch's own.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Set each element to 0 with probability p, and scale the others to keep the mean."""
        level = round(self.p * LEVELS)
        if not self.training or not level:
            return x
        if x.is_cuda:
            return F.dropout(x, self.p)
        drawn = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = drawn.view(torch.uint8)[: x.numel()] >= level
        factors = kept.float().mul_(LEVELS / (LEVELS - level))  # so that each way is one product
        return (x * factors.view(x.shape)).to(x.dtype)

"""The CTC loss, and which utterances it can't align."""

from typing import List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def ctc_loss(log_probs: Tensor, frames: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
    """Negative log-likelihood of the targets, summed over the batch (Graves et al. 2006).

    (batch, frame, unit), (batch,), one unit sequence an utterance; blank is 0.
    """
    flat = torch.tensor([unit for target in targets for unit in target], dtype=torch.long)
    lengths = torch.tensor([len(target) for target in targets])
    return F.ctc_loss(
        log_probs.transpose(0, 1), flat.to(log_probs.device), frames.cpu(), lengths, blank=0, reduction="sum"
    )


def consistency_loss(log_probs: Tensor, frames: Tensor) -> Tensor:
    """How much two views of each utterance disagree: KL divergence both ways, summed over frames.

    (2 * batch, frame, unit), the first views before the second ones, (2 * batch,). Each view is drawn to
    the other as it stands, without gradient there. Source: consistency-regularised CTC (Yao et al. 2024).
    """
    first, second = log_probs.chunk(2)
    inside = torch.arange(log_probs.shape[1], device=log_probs.device) < frames.chunk(2)[0][:, None]
    kept_first, kept_second = first.detach(), second.detach()
    divergence = kept_first.exp() * (kept_first - second) + kept_second.exp() * (kept_second - first)
    return (divergence * inside[:, :, None]).sum()


def frames_needed(target: List[int]) -> int:
    """Fewest frames that CTC can align the target to: a blank must part equal neighbours."""
    return len(target) + sum(first == second for first, second in zip(target, target[1:]))

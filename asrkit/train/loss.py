"""Losses on tensors, and the frames that CTC needs."""

from typing import List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from asrkit.config.symbols import BLANK
from asrkit.model.decoder import Decoder
from asrkit.model.device import move

Sequences = Sequence[Sequence[int]]


def ctc_loss(log_probs: Tensor, frames: Tensor, targets: Sequences) -> Tensor:
    """CTC loss: negative log-likelihood of the targets, summed over the batch (Graves et al. 2006).

    (batch, frame, unit), lengths (batch,) on the CPU, one unit sequence per utterance; blank is 0.
    """
    flat = torch.tensor([unit for target in targets for unit in target], dtype=torch.long)
    lengths = torch.tensor([len(target) for target in targets])
    log_probs, flat = log_probs.transpose(0, 1), move(flat, log_probs.device)
    return F.ctc_loss(log_probs, flat, frames.cpu(), lengths, blank=BLANK, reduction="sum")


def decoder_loss(
    decoder: Decoder, encoded: Tensor, frames: Tensor, targets: Sequences, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy of the attention decoder, summed over units and ends of sentences.

    (batch, frame, dim), lengths (batch,), one unit sequence per utterance. `smoothing`: the part of a
    target's weight that is spread evenly over all tokens but blank (Szegedy et al. 2016). Like CTC, the sum
    is -log p of whole transcripts: the two are added (Watanabe et al. 2017), then divided by frames, so that
    their relative weight doesn't depend on the batch.
    """
    log_probs, tokens, inside = decoder.predict(targets, encoded, frames)
    right = log_probs.gather(-1, tokens[..., None]).squeeze(-1)  # (batch, token)
    smoothed = (1 - smoothing) * right + smoothing * log_probs[..., 1:].mean(dim=-1)
    return -(smoothed * inside).sum()


def consistency_loss(log_probs: Tensor, frames: Tensor) -> Tensor:
    """Symmetric KL divergence between two views of each utterance, summed over frames.

    (2 * batch, frame, unit), all first views before the second ones, and lengths (2 * batch,). Each view's
    target is the other one without gradient. Source: consistency-regularised CTC (CR-CTC, Yao et al. 2024).
    """
    first, second = log_probs.chunk(2)
    ends = move(frames.chunk(2)[0], log_probs.device)[:, None]
    inside = torch.arange(log_probs.shape[1], device=log_probs.device) < ends
    kept_first, kept_second = first.detach(), second.detach()
    divergence = kept_first.exp() * (kept_first - second) + kept_second.exp() * (kept_second - first)
    return (divergence * inside[:, :, None]).sum()


def frames_needed(target: List[int]) -> int:
    """Fewest frames that CTC can align a target to: a blank must separate repeated tokens."""
    return len(target) + sum(first == second for first, second in zip(target, target[1:]))

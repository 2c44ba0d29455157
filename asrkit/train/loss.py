"""Losses on tensors, and the frames that CTC needs."""

from typing import List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from asrkit.config.symbols import BLANK
from asrkit.model.decoder import Decoder
from asrkit.model.device import move
from asrkit.model.transducer import CONTEXT, Transducer

# icefall's
PRUNE_RANGE = 5
LM_ONLY_SCALE = 0.25
SIMPLE_WEIGHT = 0.5
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


def transducer_loss(transducer: Transducer, encoded: Tensor, frames: Tensor, targets: Sequences) -> Tensor:
    """Pruned RNN-T loss by k2, at most one unit per frame, summed over the batch (Kuang et al. 2022).

    (batch, frame, dim), lengths (batch,), one unit sequence per utterance. The sum of two simple models gives
    the PRUNE_RANGE units that the joiner is computed for in each frame; its loss is part of the result.
    """
    import k2

    device = encoded.device
    lengths = torch.tensor([len(target) for target in targets])
    width = max(1, int(lengths.max()))
    padded = torch.tensor([[*target, *[BLANK] * (width - len(target))] for target in targets])
    zeros = torch.zeros_like(lengths)
    boundary = move(torch.stack([zeros, zeros, lengths, frames.cpu()], dim=1), device)
    symbols = move(padded, device)  # (batch, token)
    predicted = transducer.predict(F.pad(symbols, (CONTEXT, 0), value=BLANK))  # (batch, token + 1, dim)
    common = {"termination_symbol": BLANK, "boundary": boundary, "rnnt_type": "modified", "reduction": "sum"}
    simple, gradients = k2.rnnt_loss_smoothed(
        lm=transducer.simple_predictor(predicted).float(),
        am=transducer.simple_encoder(encoded).float(),
        symbols=symbols,
        lm_only_scale=LM_ONLY_SCALE,
        am_only_scale=0.0,
        return_grad=True,
        **common,
    )
    ranges = k2.get_rnnt_prune_ranges(*gradients, boundary=boundary, s_range=PRUNE_RANGE)
    pruned = k2.do_rnnt_pruning(transducer.encoder(encoded), transducer.predictor(predicted), ranges)
    logits = transducer.join(*pruned).float()  # (batch, frame, PRUNE_RANGE, unit)
    joined: Tensor = k2.rnnt_loss_pruned(logits, symbols, ranges, **common)
    return joined + SIMPLE_WEIGHT * simple


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

"""The losses, and which utterances CTC can't align."""

from typing import Any, Callable, Dict, List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from asrkit.errors import UserError
from asrkit.model.decoder import Decoder

EXACT = 1e6  # a beam so wide that k2 leaves no alignment out

def ctc_loss(log_probs: Tensor, frames: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
    """Negative log-likelihood of the targets, summed over the batch (Graves et al. 2006).

    (batch, frame, unit), (batch,), one unit sequence an utterance; blank is 0.
    """
    flat = torch.tensor([unit for target in targets for unit in target], dtype=torch.long)
    lengths = torch.tensor([len(target) for target in targets])
    return F.ctc_loss(
        log_probs.transpose(0, 1), flat.to(log_probs.device), frames.cpu(), lengths, blank=0, reduction="sum"
    )


def import_k2() -> Any:
    """The module k2; raises UserError if it can't be imported."""
    try:
        import k2
    except ImportError as error:
        raise UserError(
            f"train.ctc is k2, and k2 can't be imported: {error}",
            expected="k2 built for this torch",
            where="train.ctc",
            todo="asrkit doctor prints how to install it; or --set train.ctc=torch",
        ) from None
    return k2


def k2_ctc_loss(log_probs: Tensor, frames: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
    """The same by k2, as the total score of the targets' graphs with the log-probabilities.

    Raises UserError if k2 can't be imported.
    """
    k2 = import_k2()
    longest_first = torch.argsort(frames.cpu(), descending=True)  # the order that intersect_dense asks for
    rows = longest_first.tolist()
    counts = frames.cpu()[longest_first]
    segments = torch.stack([longest_first, torch.zeros_like(counts), counts], dim=1).int()
    graphs = k2.ctc_graph([list(targets[row]) for row in rows], device=log_probs.device)
    dense = k2.DenseFsaVec(log_probs, segments)
    loss: Tensor = k2.ctc_loss(graphs, dense, output_beam=EXACT, reduction="sum").float()
    return loss


CTC: Dict[str, Callable[[Tensor, Tensor, Sequence[Sequence[int]]], Tensor]] = {
    "torch": ctc_loss,
    "k2": k2_ctc_loss,
}


def decoder_loss(
    decoder: Decoder,
    encoded: Tensor,
    frames: Tensor,
    targets: Sequence[Sequence[int]],
    smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of the attention decoder's predictions, summed over units and ends of sentences.

    (batch, frame, dim), (batch,), one unit sequence an utterance. `smoothing` of a target's weight is spread
    evenly over all tokens but blank (Szegedy et al. 2016). A sum as that of CTC is: both are -log p of whole
    transcripts, so that they are added utterance by utterance, then divided by frames together
    (Watanabe et al. 2017), and what one weighs beside the other depends on no batch.
    """
    log_probs, follow, inside = decoder.predict(targets, encoded, frames)
    right = log_probs.gather(-1, follow[..., None]).squeeze(-1)  # (batch, token)
    smoothed = (1 - smoothing) * right + smoothing * log_probs[..., 1:].mean(dim=-1)
    return -(smoothed * inside).sum()


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

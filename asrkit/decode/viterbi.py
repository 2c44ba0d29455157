"""The best CTC alignments of unit sequences."""

from typing import Sequence

import torch
from torch import Tensor

from asrkit.graph.topology import BLANK


def align_best(log_probs: Tensor, sequences: Sequence[Sequence[int]]) -> Tensor:
    """Log-probability (sequence,) of the best alignment of each sequence of units; -inf where there is none.

    `log_probs` (frame, unit) are of one utterance. Source: Graves et al. 2006, section 4, with the best
    alignment in place of the sum over all.
    """
    lengths = torch.tensor([len(units) for units in sequences])
    states = torch.full((len(sequences), 2 * int(lengths.max()) + 1), BLANK)  # a blank around each unit
    for row, units in zip(states, sequences):
        row[1 : 2 * len(units) : 2] = torch.tensor(units, dtype=torch.long)
    # (sequence, state), from the third: a unit that may follow another without the blank between them
    direct = (states[:, 2:] != BLANK) & (states[:, 2:] != states[:, :-2])
    barred = torch.zeros(direct.shape).masked_fill(~direct, -torch.inf)
    scores = torch.full(states.shape, -torch.inf)  # of the best way to be there
    scores[:, 0] = 0
    for frame in log_probs:
        entered = scores.clone()
        entered[:, 1:] = torch.maximum(entered[:, 1:], scores[:, :-1])
        entered[:, 2:] = torch.maximum(entered[:, 2:], scores[:, :-2] + barred)
        scores = entered + frame[states]
    ends = torch.stack([2 * lengths, (2 * lengths - 1).clamp(min=0)], dim=1)
    return scores.gather(1, ends).amax(1)

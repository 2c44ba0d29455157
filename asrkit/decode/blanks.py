"""Frames that are certainly blank, left out of the search."""

import math
from typing import Optional

import torch
from torch import Tensor

from asrkit.graph.topology import BLANK


def skip_blanks(log_probs: Tensor, threshold: Optional[float]) -> Tensor:
    """Log-probabilities (frame, unit) with one frame left of each run whose blank is above `threshold`.

    One must stay, for the two sides may be the same unit twice. All its units get the blanks' scores
    of the frames left out, so that every path keeps them (Chen et al. 2016, phone-synchronous decoding).
    """
    kept = kept_frames(log_probs, threshold)
    if bool(kept.all()):
        return log_probs
    dropped = torch.zeros(int(kept.sum()), dtype=log_probs.dtype)
    dropped.index_add_(0, kept.cumsum(0)[~kept] - 1, log_probs[~kept, BLANK])
    return log_probs[kept] + dropped[:, None]


def kept_frames(log_probs: Tensor, threshold: Optional[float]) -> Tensor:
    """True for each frame (frame,) of log-probabilities (frame, unit) that skip_blanks leaves."""
    blank = log_probs[:, BLANK].exp() > (math.inf if threshold is None else threshold)
    kept = ~blank
    kept[:1] = True
    kept[1:] |= ~blank[:-1]  # the first of a run
    return kept

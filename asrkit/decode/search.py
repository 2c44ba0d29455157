"""Beam search of one utterance through the decoding graph, without certain blanks, down a ladder of beams."""

import math
from typing import Optional, Tuple

import k2
import torch
from torch import Tensor

from asrkit.config import DecodeConfig
from asrkit.config.symbols import BLANK
from asrkit.decode.paths import words_on_arcs
from asrkit.graph.store import DecodingGraph

MOST_ACTIVE = 1 << 24  # states: k2's table of them takes 32 bytes for each that there may be
# What an utterance can have been recognised by. The last two have no lattice.
WAYS = ("lattice", "wider_beam", "narrower_beam", "partial", "greedy", "empty")


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


def prepare_graph(graph: DecodingGraph) -> k2.Fsa:
    """HLG as the search takes it: the same memory, which is the file's where it was read from one."""
    import _k2  # it needs torch's libraries, which k2 has loaded

    fst = k2.Fsa(_k2.fsa_to_fsa_vec(graph.fst.arcs))  # k2.Fsa.from_fsas would copy the arcs
    fst.aux_labels = graph.fst.aux_labels
    return fst


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error of k2, torch, NumPy or Python says that there is no memory."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error))


def search_lattice(
    fst: k2.Fsa, utterance: str, log_probs: Tensor, config: DecodeConfig, failures: int = 0
) -> Tuple[str, Optional[k2.Fsa]]:
    """Search one utterance's log-probabilities (frame, unit) for a lattice.

    An empty lattice is searched again with wider beams, one that there is no memory for with
    narrower ones. Where no word ends at the end, the last frames are left out, 1, 2, 4 and so on up to half
    of them, as long as there is memory, until words are found: of silence alone greedy knows more. Returns
    the step of the ladder and the lattice; ("greedy", None) after the last. After one of `failures`, as for
    want of memory, the narrower beams are all that is tried, and after two nothing.
    """
    wider, frames = config.ladder_beam_factor, len(log_probs)
    narrower = [("narrower_beam", 1 / wider, frames)] if frames else []
    ladder = [("lattice", 1.0, frames), ("wider_beam", wider, frames)] if frames else []
    ladder += [("partial", 1.0, frames - 2**power) for power in range(frames.bit_length() - 1)]
    if failures:
        ladder = narrower if failures == 1 else []
    while ladder:
        way, factor, kept = ladder.pop(0)
        try:
            lattice = _search(fst, log_probs[:kept], config, factor)
        except (MemoryError, RuntimeError) as error:
            if not is_lack_of_memory(error):
                raise
            print(f"decode: {utterance}: no memory for a lattice at beam {config.search_beam * factor:g}")
            lattice, ladder = None, narrower if kept == frames and way != "narrower_beam" else []
        if lattice is not None and (kept == frames or len(words_on_arcs(lattice)[0])):
            return way, lattice
    return "greedy", None


def _search(fst: k2.Fsa, log_probs: Tensor, config: DecodeConfig, factor: float) -> Optional[k2.Fsa]:
    # Instead of the graph's scores, which processes share, the sound's and the beams are scaled.
    scale = config.search_lm_scale
    least = min(config.min_active_states, MOST_ACTIVE - 1)
    segments = torch.tensor([[0, 0, len(log_probs)]], dtype=torch.int32)
    lattice = k2.intersect_dense_pruned(
        fst,
        k2.DenseFsaVec((log_probs.float() / scale)[None].contiguous(), segments),
        search_beam=config.search_beam * factor / scale,
        output_beam=config.output_beam * factor / scale,
        min_active_states=least,
        max_active_states=int(min(max(config.max_active_states * factor, least + 1), MOST_ACTIVE)),
        frame_idx_name="frame",
    )
    if not lattice.num_arcs:
        return None
    inside = lattice.labels >= 0  # all arcs but the last
    acoustic = torch.zeros(lattice.num_arcs)
    acoustic[inside] = log_probs[lattice.frame[inside].long(), lattice.labels[inside].long()].float()
    lattice.acoustic_scores = acoustic
    lattice.lm_scores = lattice.scores - acoustic / scale
    lattice.scores = acoustic + scale * lattice.lm_scores
    return lattice

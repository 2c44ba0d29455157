"""Beam search of one utterance through the decoding graph, down a ladder of beams."""

from typing import Optional, Tuple

import k2
import torch
from torch import Tensor

from asrkit.config import DecodeConfig
from asrkit.graph.store import DecodingGraph

# What an utterance can have been recognised by. The last two have no lattice.
WAYS = ("lattice", "wider_beam", "narrower_beam", "greedy", "empty")


def prepare_graph(graph: DecodingGraph, search_lm_scale: float) -> k2.Fsa:
    """HLG with its scores scaled for the search; the unscaled ones stay in `lm_scores`."""
    fst = graph.fst
    fst.lm_scores = fst.scores.clone()
    fst.scores = fst.lm_scores * search_lm_scale
    return k2.Fsa.from_fsas([fst])


def search_lattice(
    fst: k2.Fsa, utterance: str, log_probs: Tensor, config: DecodeConfig
) -> Tuple[str, Optional[k2.Fsa]]:
    """Search one utterance's log-probabilities (frame, unit) for a lattice.

    An empty lattice is searched again with wider beams, one that there is no memory for with
    narrower ones. Returns the step of the ladder and the lattice; ("greedy", None) after the last.
    """
    wider = config.ladder_beam_factor
    ladder = [("lattice", 1.0), ("wider_beam", wider)] if len(log_probs) else []
    while ladder:
        way, factor = ladder.pop(0)
        try:
            lattice = _search(fst, log_probs, config, factor)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            print(f"decode: {utterance}: no memory for a lattice at beam {config.search_beam * factor:g}")
            lattice, ladder = None, [("narrower_beam", 1 / wider)] if way != "narrower_beam" else []
        if lattice is not None:
            return way, lattice
    return "greedy", None


def _search(fst: k2.Fsa, log_probs: Tensor, config: DecodeConfig, factor: float) -> Optional[k2.Fsa]:
    segments = torch.tensor([[0, 0, len(log_probs)]], dtype=torch.int32)
    lattice = k2.intersect_dense_pruned(
        fst,
        k2.DenseFsaVec(log_probs[None].float().contiguous(), segments),
        search_beam=config.search_beam * factor,
        output_beam=config.output_beam * factor,
        min_active_states=config.min_active_states,
        max_active_states=int(config.max_active_states * factor),
    )
    if not lattice.num_arcs:
        return None
    # The graph's share is taken out, so that any scale can be laid on afterwards.
    lattice.acoustic_scores = lattice.scores - config.search_lm_scale * lattice.lm_scores
    return lattice

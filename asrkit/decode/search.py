"""Beam search of one utterance through the decoding graph, down a ladder of beams."""

from typing import Optional, Tuple

import k2
import torch
from torch import Tensor

from asrkit.config import DecodeConfig
from asrkit.decode.paths import words_on_arcs
from asrkit.graph.store import DecodingGraph

# What an utterance can have been recognised by. The last two have no lattice.
WAYS = ("lattice", "wider_beam", "narrower_beam", "partial", "greedy", "empty")


def prepare_graph(graph: DecodingGraph) -> k2.Fsa:
    """HLG as the search takes it: the same memory, which is the file's where it was read from one."""
    import _k2  # it needs torch's libraries, which k2 has loaded

    fst = k2.Fsa(_k2.fsa_to_fsa_vec(graph.fst.arcs))  # k2.Fsa.from_fsas would copy the arcs
    fst.aux_labels = graph.fst.aux_labels
    return fst


def search_lattice(
    fst: k2.Fsa, utterance: str, log_probs: Tensor, config: DecodeConfig
) -> Tuple[str, Optional[k2.Fsa]]:
    """Search one utterance's log-probabilities (frame, unit) for a lattice.

    An empty lattice is searched again with wider beams, one that there is no memory for with
    narrower ones. Where no word ends at the end, the last frames are left out, 1, 2, 4 and so on up to half
    of them, as long as there is memory, until words are found: of silence alone greedy knows more. Returns
    the step of the ladder and the lattice; ("greedy", None) after the last.
    """
    wider, frames = config.ladder_beam_factor, len(log_probs)
    ladder = [("lattice", 1.0, frames), ("wider_beam", wider, frames)] if frames else []
    ladder += [("partial", 1.0, frames - 2**power) for power in range(frames.bit_length() - 1)]
    while ladder:
        way, factor, kept = ladder.pop(0)
        try:
            lattice = _search(fst, log_probs[:kept], config, factor)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            print(f"decode: {utterance}: no memory for a lattice at beam {config.search_beam * factor:g}")
            narrower = kept == frames and way != "narrower_beam"
            lattice, ladder = None, [("narrower_beam", 1 / wider, frames)] if narrower else []
        if lattice is not None and (kept == frames or len(words_on_arcs(lattice)[0])):
            return way, lattice
    return "greedy", None


def _search(fst: k2.Fsa, log_probs: Tensor, config: DecodeConfig, factor: float) -> Optional[k2.Fsa]:
    # Instead of the graph's scores, which processes share, the sound's and the beams are scaled.
    scale = config.search_lm_scale
    segments = torch.tensor([[0, 0, len(log_probs)]], dtype=torch.int32)
    lattice = k2.intersect_dense_pruned(
        fst,
        k2.DenseFsaVec((log_probs.float() / scale)[None].contiguous(), segments),
        search_beam=config.search_beam * factor / scale,
        output_beam=config.output_beam * factor / scale,
        min_active_states=config.min_active_states,
        max_active_states=int(config.max_active_states * factor),
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

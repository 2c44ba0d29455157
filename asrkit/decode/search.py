"""Lattice search with k2, and the best path under a language-model scale."""

import dataclasses
from typing import Any, Dict, List, Optional, Sequence

import k2
import torch
from torch import Tensor

from asrkit.config import DecodeConfig
from asrkit.graph.store import DecodingGraph


@dataclasses.dataclass(frozen=True)
class Transcript:
    """What one utterance was recognised as, under each language-model scale.

    `way` tells how far down the ladder it had to go: "lattice", "wider_beam", "greedy" or "empty".
    """

    id: str
    words: Dict[float, List[str]]
    way: str


def prepare_graph(graph: DecodingGraph, search_lm_scale: float) -> k2.Fsa:
    """HLG with its scores scaled for the search; the unscaled ones stay in `lm_scores`."""
    fst = graph.fst
    fst.lm_scores = fst.scores.clone()
    fst.scores = fst.lm_scores * search_lm_scale
    return k2.Fsa.from_fsas([fst])


def search_utterance(
    fst: k2.Fsa,
    symbols: Sequence[str],
    utterance: str,
    log_probs: Tensor,
    scales: Sequence[float],
    config: DecodeConfig,
    greedy: List[str],
) -> Transcript:
    """Search one utterance's log-probabilities (frame, unit) down the ladder.

    A lattice; failing that one with wider beams; failing that the greedy CTC words, given.
    """
    for way, factor in (("lattice", 1.0), ("wider_beam", config.ladder_beam_factor)):
        lattice = _search(fst, log_probs, config, factor)
        if lattice is not None:
            words = {scale: best_path(lattice, symbols, config.search_lm_scale, scale) for scale in scales}
            return Transcript(utterance, words, way)
    return Transcript(utterance, dict.fromkeys(scales, greedy), "greedy" if greedy else "empty")


def best_path(lattice: k2.Fsa, symbols: Sequence[str], search_scale: float, scale: float) -> List[str]:
    """Words of the lattice's best path when graph scores weigh `scale` instead of `search_scale`."""
    weighed = lattice.clone()
    weighed.scores = lattice.scores + (scale - search_scale) * lattice.lm_scores
    path = k2.shortest_path(weighed, use_double_scores=True)
    labels = path.aux_labels
    ids = labels.tolist() if isinstance(labels, Tensor) else labels.values.tolist()
    return [symbols[index] for index in ids if index > 0]


def _search(fst: k2.Fsa, log_probs: Tensor, config: DecodeConfig, factor: float) -> Optional[Any]:
    frames = log_probs.shape[0]
    segments = torch.tensor([[0, 0, frames]], dtype=torch.int32)
    dense = k2.DenseFsaVec(log_probs[None].float().contiguous(), segments)
    lattice = k2.intersect_dense_pruned(
        fst,
        dense,
        search_beam=config.search_beam * factor,
        output_beam=config.output_beam * factor,
        min_active_states=config.min_active_states,
        max_active_states=int(config.max_active_states * factor),
    )
    return lattice if lattice.num_arcs else None

"""HLG: CTC topology, lexicon and grammar composed into one decoding graph."""

from typing import Dict, Optional, Sequence, Tuple

import k2
import numpy as np
import torch

from asrkit.graph.arcs import END, NO_WORD, Arcs, join_arcs, make_table
from asrkit.graph.compose import compose_words
from asrkit.graph.grammar import NO_STATE, Grammar
from asrkit.graph.hubs import split_hubs
from asrkit.graph.lexicon import LexiconTree
from asrkit.graph.silence import OptionalSilence, add_silence
from asrkit.graph.topology import add_topology


def compile_hlg(
    tree: LexiconTree,
    grammar: Grammar,
    *,
    units: int,
    modified: bool,
    silence: Optional[OptionalSilence] = None,
) -> k2.Fsa:
    """HLG without epsilons among its units, which `units` counts with blank.

    Raises UserError where it would be too large for k2.
    """
    hubs = split_hubs(*_compose_lg(tree, grammar, silence), units, modified)
    table, words = add_topology(hubs, units, modified)
    return k2.Fsa(torch.from_numpy(table), aux_labels=torch.from_numpy(words))


def compile_lg(tree: LexiconTree, grammar: Grammar, silence: Optional[OptionalSilence] = None) -> k2.Fsa:
    """LG without epsilons among its units, for other decoders; raises UserError as compile_hlg does."""
    arcs, final = _compose_lg(tree, grammar, silence)
    table, words = _add_ends("LG", [arcs], final)
    return k2.Fsa(torch.from_numpy(table), aux_labels=torch.from_numpy(words))


def _compose_lg(
    tree: LexiconTree, grammar: Grammar, silence: Optional[OptionalSilence]
) -> Tuple[Arcs, np.ndarray]:
    arcs, final = compose_words(tree, grammar)
    return (arcs, final) if silence is None else add_silence(arcs, final, silence)


def _add_ends(graph: str, parts: Sequence[Arcs], final: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The table of make_table and its words, with arcs to a final state by the `final` scores (state,)."""
    ends = np.flatnonzero(np.isfinite(final)).astype(np.int32)
    end = np.full_like(ends, END)
    arcs = join_arcs([*parts, Arcs(ends, np.full_like(ends, len(final)), end, end, final[ends])])
    return make_table(graph, np.bincount(arcs.source, minlength=len(final) + 1), [arcs])


def make_acceptor(grammar: Grammar) -> k2.Fsa:
    """G as an acceptor of words whose back-off arcs are epsilons."""
    states = np.arange(grammar.states, dtype=np.int32)
    backs = states[grammar.backoff != NO_STATE]
    nothing = np.full_like(backs, NO_WORD)
    parts = [
        Arcs(grammar.source, grammar.target, grammar.word, grammar.word, grammar.score),
        Arcs(backs, grammar.backoff[backs], nothing, nothing, grammar.backoff_score[backs]),
    ]
    table, _ = _add_ends("G", parts, grammar.final)
    return k2.arc_sort(k2.Fsa(torch.from_numpy(table)))


def graph_size(fst: k2.Fsa) -> Dict[str, int]:
    """States and arcs."""
    return {"states": int(fst.shape[0]), "arcs": int(fst.num_arcs)}

"""HLG: CTC topology, lexicon and grammar composed into one decoding graph."""

from typing import Dict

import k2
import numpy as np
import torch

from asrkit.graph.arcs import END, NO_WORD, Arcs, join_arcs, make_table
from asrkit.graph.compose import compose_words
from asrkit.graph.grammar import NO_STATE, Grammar
from asrkit.graph.hubs import split_hubs
from asrkit.graph.lexicon import LexiconTree
from asrkit.graph.topology import add_topology


def compile_hlg(tree: LexiconTree, grammar: Grammar, *, units: int, modified: bool) -> k2.Fsa:
    """HLG without epsilons among its units, which `units` counts with blank.

    Raises UserError where it would be too large for k2.
    """
    hubs = split_hubs(*compose_words(tree, grammar), units, modified)
    table, words = add_topology(hubs, units, modified)
    return k2.Fsa(torch.from_numpy(table), aux_labels=torch.from_numpy(words))


def make_acceptor(grammar: Grammar) -> k2.Fsa:
    """G as an acceptor of words whose back-off arcs are epsilons."""
    states = np.arange(grammar.states, dtype=np.int32)
    backs, ends = states[grammar.backoff != NO_STATE], states[np.isfinite(grammar.final)]
    nothing, end = np.full_like(backs, NO_WORD), np.full_like(ends, END)
    final = np.full_like(ends, grammar.states)
    arcs = join_arcs(
        [
            Arcs(grammar.source, grammar.target, grammar.word, grammar.word, grammar.score),
            Arcs(backs, grammar.backoff[backs], nothing, nothing, grammar.backoff_score[backs]),
            Arcs(ends, final, end, end, grammar.final[ends]),
        ]
    )
    table, _ = make_table("G", np.bincount(arcs.source, minlength=grammar.states + 1), [arcs])
    return k2.arc_sort(k2.Fsa(torch.from_numpy(table)))


def graph_size(fst: k2.Fsa) -> Dict[str, int]:
    """States and arcs."""
    return {"states": int(fst.shape[0]), "arcs": int(fst.num_arcs)}

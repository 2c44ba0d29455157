"""Small decoding graphs as text for Graphviz."""

from typing import List, Optional, Sequence

import torch

from asrkit.errors import UserError
from asrkit.graph.compile import graph_size
from asrkit.graph.store import DecodingGraph

MOST_ARCS = 500  # more are a black page


def graph_as_dot(graph: DecodingGraph, units: Optional[Sequence[str]] = None) -> str:
    """The graph in the language of dot, each arc with "unit:words/score"; `units` names the units.

    Raises UserError for a graph that is too large to be looked at.
    """
    size = graph_size(graph.fst)
    if size["arcs"] > MOST_ARCS:
        raise UserError(
            f"the graph has {size['states']:,} states and {size['arcs']:,} arcs",
            expected=f"at most {MOST_ARCS} arcs: a larger drawing shows nothing",
            where="asrkit graph draw",
            todo="draw the graph of a small lexicon (recipes/yesno), or see asrkit graph info",
        )
    lines = [
        "digraph HLG {",
        "  rankdir=LR; node [shape=circle];",
        f"  {size['states'] - 1} [shape=doublecircle];",
    ]
    arcs, scores = graph.fst.arcs.values()[:, :3].tolist(), graph.fst.scores.tolist()
    for (source, target, unit, *_), words, score in zip(arcs, _words_of_arcs(graph), scores):
        name = "end" if unit == -1 else units[unit] if units else str(unit)
        label = f"{name}:{' '.join(words)}/{score:.2f}".replace('"', '\\"')
        lines.append(f'  {source} -> {target} [label="{label}"];')
    return "\n".join([*lines, "}", ""])


def _words_of_arcs(graph: DecodingGraph) -> List[List[str]]:
    labels = graph.fst.aux_labels
    ids: List[List[int]] = (
        [[label] for label in labels.tolist()] if isinstance(labels, torch.Tensor) else labels.tolist()
    )
    return [[graph.words[index] for index in of_arc if index > 0] for of_arc in ids]

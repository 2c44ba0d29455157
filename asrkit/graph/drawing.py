"""Small decoding graphs as text for Graphviz."""

from typing import Optional, Sequence

from asrkit.errors import UserError
from asrkit.graph.arcs import FINAL
from asrkit.graph.compile import graph_size
from asrkit.graph.store import DecodingGraph

MOST_ARCS = 500  # more can't be read


def graph_as_dot(graph: DecodingGraph, units: Optional[Sequence[str]] = None) -> str:
    """The graph in Graphviz's dot language, arcs labelled "unit:word/score"; `units` are the units' names.

    Raises UserError if the graph has more than MOST_ARCS arcs, or if the names can't be those of its units.
    """
    size = graph_size(graph.fst)
    if size["arcs"] > MOST_ARCS:
        found = f"the graph has {size['states']:,} states and {size['arcs']:,} arcs"
        expected = f"at most {MOST_ARCS} arcs: a larger drawing can't be read"
        todo = "draw the graph of a small lexicon (recipes/yesno), or use asrkit graph info"
        raise UserError(found, expected, "asrkit graph draw", todo)
    if units is not None:
        _refuse_other_units(graph, units)
    final = size["states"] - 1
    lines = ["digraph HLG {", "  rankdir=LR; node [shape=circle];", f"  {final} [shape=doublecircle];"]
    columns = (graph.fst.arcs.values()[:, :3], graph.fst.aux_labels, graph.fst.scores)
    for (source, target, unit), word, score in zip(*(column.tolist() for column in columns)):
        name = "end" if unit == FINAL else units[unit] if units else str(unit)
        label = f"{name}:{graph.words[word] if word > 0 else ''}/{score:.2f}".replace('"', '\\"')
        lines.append(f'  {source} -> {target} [label="{label}"];')
    return "\n".join([*lines, "}", ""])


def _refuse_other_units(graph: DecodingGraph, units: Sequence[str]) -> None:
    """Raise UserError if the names are of words, or of another experiment with too few units."""
    highest = int(graph.fst.arcs.values()[:, 2].max()) if graph.fst.arcs.num_elements() else 0
    if list(units) == list(graph.words):
        found = "words, not units"
    elif highest >= len(units):
        found = f"{len(units)} units, but the graph has unit {highest}"
    else:
        return
    todo = "give EXP/units/units.txt of the experiment with this graph"
    raise UserError(f"the file of --units has {found}", "the names of the graph's units", "--units", todo)

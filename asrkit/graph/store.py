"""Decoding graphs as plain tensors, with what they were made of."""

import dataclasses
from pathlib import Path
from typing import Any, Dict, List

import k2
import torch

from asrkit.errors import UserError
from asrkit.storage.tensors import load_tensors, save_tensors


@dataclasses.dataclass(frozen=True)
class DecodingGraph:
    """HLG with its symbols; `made_of` holds the hashes of units, lexicon and language model."""

    fst: k2.Fsa
    words: List[str]
    made_of: Dict[str, Any]


def save_graph(file: Path, graph: DecodingGraph) -> None:
    """Write the graph, whole or not at all."""
    arcs: torch.Tensor = graph.fst.arcs.values()  # (arc, [from, to, unit, score bits])
    tensors = {"arcs": arcs, "words": graph.fst.aux_labels}  # words: (arc,)
    save_tensors(file, tensors, {"symbols": graph.words, "made_of": graph.made_of})


def load_graph(file: Path) -> DecodingGraph:
    """Map a graph into memory; raises UserError when the file is not one."""
    tensors, metadata = load_tensors(file)
    lengths = [len(tensors[name]) for name in ("arcs", "words") if name in tensors]
    if len(lengths) < 2 or lengths[0] != lengths[1] or "symbols" not in metadata:
        raise UserError(
            f"{file.name} holds {', '.join(tensors) or 'nothing'}",
            expected="arcs, a word each, and symbols of a decoding graph",
            where=str(file),
            todo="make it anew: run.sh --stage 5 --stop-stage 5",
        )
    fst = k2.Fsa(tensors["arcs"], aux_labels=tensors["words"])
    return DecodingGraph(fst, metadata["symbols"], metadata["made_of"])

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
    tensors = {"arcs": graph.fst.arcs.values()}  # (arc, [from, to, unit, score bits])
    if isinstance(graph.fst.aux_labels, torch.Tensor):
        tensors["words"] = graph.fst.aux_labels  # (arc,)
    else:
        tensors["words"] = graph.fst.aux_labels.values
        tensors["word_splits"] = graph.fst.aux_labels.shape.row_splits(1)  # (arc + 1,)
    save_tensors(file, tensors, {"symbols": graph.words, "made_of": graph.made_of})


def load_graph(file: Path) -> DecodingGraph:
    """Read a graph; raises UserError when the file is not one."""
    tensors, metadata = load_tensors(file)
    if "arcs" not in tensors or "words" not in tensors or "symbols" not in metadata:
        raise UserError(
            f"{file.name} holds {', '.join(tensors) or 'nothing'}",
            expected="arcs, words and symbols of a decoding graph",
            where=str(file),
            todo="make it anew: run.sh --stage 5 --stop-stage 5",
        )
    words: Any = tensors["words"]
    if "word_splits" in tensors:
        shape = k2.ragged.create_ragged_shape2(tensors["word_splits"], None, words.numel())
        words = k2.RaggedTensor(shape, words)
    fst = k2.Fsa(tensors["arcs"], aux_labels=words)
    return DecodingGraph(fst, metadata["symbols"], metadata["made_of"])

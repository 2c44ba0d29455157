"""Decoding graphs as files of tensors, with what they were made from."""

import dataclasses
from pathlib import Path
from typing import Any, Dict, List, Optional

import k2
import numpy as np
import torch
from torch import Tensor

from asrkit.errors import UserError
from asrkit.graph.arcs import FINAL, MOST
from asrkit.storage.tensors import load_tensors, save_tensors

LARGEST_SCORE = 1e9  # sums of larger ones may be infinite or nan
ARCS_AT_ONCE = 1 << 16  # that find_fault checks together: they fit a processor's cache


@dataclasses.dataclass(frozen=True)
class DecodingGraph:
    """A graph with its words; `made_of` has the hashes of units, lexicon and language model."""

    fst: k2.Fsa
    words: List[str]
    made_of: Dict[str, Any]


def save_graph(file: Path, graph: DecodingGraph) -> None:
    """Write the graph, whole or not at all."""
    arcs: torch.Tensor = graph.fst.arcs.values()  # (arc, [from, to, unit, score bits])
    tensors = {"arcs": arcs, "words": graph.fst.aux_labels}  # words: (arc,)
    save_tensors(file, tensors, {"symbols": graph.words, "made_of": graph.made_of})


def load_graph(file: Path) -> DecodingGraph:
    """Map a graph into memory; raises UserError if the file isn't one."""
    tensors, metadata = load_tensors(file)
    symbols: Any = metadata.get("symbols")
    made_of: Any = metadata.get("made_of")
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
        fault = "it has no list of words"
    elif not isinstance(made_of, dict):
        fault = "it lacks what it was made from"
    else:
        fault = find_fault(tensors.get("arcs"), tensors.get("words"), len(symbols))
    if fault:
        expected = "arcs with words, and symbols, as stage graph writes them"
        todo = "regenerate it: run.sh --stage graph --stop-stage graph"
        raise UserError(f"{file.name} is no decoding graph: {fault}", expected, str(file), todo)
    return DecodingGraph(k2.Fsa(tensors["arcs"], aux_labels=tensors["words"]), symbols, made_of)


def find_fault(
    arcs: Optional[Tensor], words: Optional[Tensor], symbols: int = MOST, acyclic: bool = False
) -> str:
    """Why arcs (arc, [source, target, unit, score bits]) and words (arc,), both int32, are no FSA, or "".

    k2 checks nothing: it may access memory outside its arrays, or abort the process. Words must be below
    `symbols`; `acyclic`: arcs must lead to states with larger numbers, as in lattices.
    """
    if arcs is None or words is None:
        return "it lacks arcs or words"
    shapes = (arcs.dim(), words.dim(), arcs.shape[1:], arcs.shape[:1] == words.shape)
    if (arcs.dtype, words.dtype, *shapes) != (torch.int32, torch.int32, 2, 1, (4,), True):
        return "arcs and words aren't integers of 32 bits, or aren't as many"
    if not len(arcs):
        return "it has no arcs"
    table = arcs.numpy()
    final, before = int(table[:, 1].max()), 0
    if not int(table[-1, 0]) < final <= 2 * len(table):
        return f"it has {len(table):,} arcs, and its final state is {final:,}"
    for first in range(0, len(table), ARCS_AT_ONCE):
        source, target, unit, bits = table[first : first + ARCS_AT_ONCE].T
        word, ends = words.numpy()[first : first + ARCS_AT_ONCE], unit == FINAL
        score = np.abs(bits.copy().view(np.float32))
        for fault, wrong in (
            ("arcs aren't sorted by their sources", source < np.concatenate([[before], source[:-1]])),
            ("an arc leads backwards", target <= (source if acyclic else FINAL)),
            ("an arc has a negative unit", unit < FINAL),
            ("arcs to the final state, and they alone, must have unit -1", ends != (target == final)),
            ("arcs to the final state, and they alone, must have word -1", ends != (word == FINAL)),
            (f"a word isn't among the {symbols:,} symbols", (word < FINAL) | (word >= symbols)),
            (f"a score isn't within {LARGEST_SCORE:g}", ~(score <= LARGEST_SCORE)),
        ):
            if wrong.any():
                return fault
        before = source[-1]
    return ""

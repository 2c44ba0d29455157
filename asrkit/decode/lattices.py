"""Lattices of the search, in shards on disk: searched once, rescored as often as one likes."""

import dataclasses
from pathlib import Path
from typing import Dict, List, Mapping, Optional

import k2
import torch
from torch import Tensor

from asrkit.decode.shards import read_shard, write_shard
from asrkit.graph.store import find_fault

SCORES = ("acoustic_scores", "lm_scores")


@dataclasses.dataclass(frozen=True)
class Searched:
    """What the search of one utterance gave."""

    way: str  # the step of the search's ladder
    lattice: Optional[k2.Fsa]  # FsaVec of one, its words on arcs, with acoustic_scores, lm_scores and frame
    seconds: float


def write_lattices(file: Path, searched: Mapping[str, Searched], made_of: str) -> None:
    """Write the lattices of some utterances, by id, whole or not at all."""
    tensors: Dict[str, Tensor] = {}
    for utterance, one in searched.items():
        if one.lattice is not None:
            tensors[f"arcs/{utterance}"] = one.lattice.arcs.values()  # (arc, [from, to, unit, score bits])
            tensors[f"words/{utterance}"] = one.lattice.aux_labels  # (arc,), as the next
            for name in ("frame", *SCORES):
                tensors[f"{name}/{utterance}"] = getattr(one.lattice, name)
    rows: List[List[object]] = [[utterance, one.way, one.seconds] for utterance, one in searched.items()]
    write_shard(file, tensors, {"made_of": made_of, "rows": rows})


def read_lattices(file: Path) -> Dict[str, Searched]:
    """Read what write_lattices wrote and make_shards has checked, without lattices that k2 can't take."""
    tensors, about = read_shard(file, check=False)
    searched: Dict[str, Searched] = {}
    for utterance, way, seconds in about["rows"]:
        lattice = None
        if f"arcs/{utterance}" in tensors:
            arcs, words = tensors[f"arcs/{utterance}"], tensors.get(f"words/{utterance}")
            others = {name: tensors.get(f"{name}/{utterance}") for name in ("frame", *SCORES)}
            fault = find_fault(arcs, words, acyclic=True) or _find_fault(others, len(arcs))
            if fault:
                print(f"decode: {utterance}: the lattice in {file} is damaged: {fault}", flush=True)
                continue
            fst = k2.Fsa(arcs.clone(), aux_labels=words)
            for name, values in others.items():
                setattr(fst, name, values)
            lattice = k2.Fsa.from_fsas([fst])
        searched[utterance] = Searched(way, lattice, seconds)
    return searched


def _find_fault(others: Mapping[str, Optional[Tensor]], arcs: int) -> str:
    for name, values in others.items():
        kind = torch.int32 if name == "frame" else torch.float32
        if values is None or (values.dtype, values.shape) != (kind, (arcs,)):
            return f"it lacks a {name} for each arc"
        if not bool(values.isfinite().all()):
            return f"{name} holds infinity, or no numbers"
    return ""

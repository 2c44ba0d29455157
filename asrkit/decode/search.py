"""Beam search in a decoding graph (HLG, or H alone), and the lattices on disk.

posteriors (frame, unit) -> skip_blanks -> search_lattice -> Searched(outcome, lattice, seconds)

beam 20 -> lattice          empty: beam 40 -> wider_beam          still empty: drop 1, 2, 4, ... trailing
                            out of memory: beam 10 -> narrower_beam            frames -> partial; greedy

On a GPU utterances are searched together, by search_lattices; those without a lattice then alone, as above.
"""

import dataclasses
import math
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import k2
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asrkit.config import DecodeConfig
from asrkit.config.symbols import BLANK
from asrkit.decode.nbest import is_out_of_memory
from asrkit.decode.paths import words_on_arcs
from asrkit.decode.shards import read_shard, write_shard
from asrkit.graph.store import DecodingGraph, find_fault

MOST_ACTIVE = 1 << 24  # states: k2's table of them takes 32 bytes for each possible one
SCORES = ("acoustic_scores", "lm_scores")
# Searched together on a GPU, padding included: 200 s of audio at 25 frames per second. On a CPU, batches of 4
# to 16 took 0.75 times as long as single utterances in a graph of 80 thousand arcs, 1.1 to 1.3 in 33 million
BATCH_FRAMES = 5000


@dataclasses.dataclass(frozen=True)
class Searched:
    """Result of the search of one utterance."""

    outcome: str  # of OUTCOMES
    lattice: Optional[k2.Fsa]  # FsaVec of one, its words on arcs, with acoustic_scores, lm_scores and frame
    seconds: float


def skip_blanks(log_probs: Tensor, threshold: Optional[float]) -> Tensor:
    """Log-probabilities (frame, unit) with one frame left of each run whose blank is above `threshold`.

    One must stay, to separate the same unit on both sides. The blanks' scores of the skipped frames are added
    to all its units, so that every path keeps them (Chen et al. 2016, phone-synchronous decoding).
    """
    kept = kept_frames(log_probs, threshold)
    if bool(kept.all()):
        return log_probs
    dropped = torch.zeros(int(kept.sum()), dtype=log_probs.dtype)
    dropped.index_add_(0, kept.cumsum(0)[~kept] - 1, log_probs[~kept, BLANK])
    return log_probs[kept] + dropped[:, None]


def kept_frames(log_probs: Tensor, threshold: Optional[float]) -> Tensor:
    """Mask (frame,) of the frames of log-probabilities (frame, unit) that skip_blanks keeps."""
    blank = log_probs[:, BLANK].exp() > (math.inf if threshold is None else threshold)
    kept = ~blank
    kept[:1] = True
    kept[1:] |= ~blank[:-1]  # the first of a run
    return kept


def prepare_graph(graph: DecodingGraph) -> k2.Fsa:
    """The graph as an FsaVec that shares its memory, which is the mapped file if it was loaded from one."""
    import _k2  # it needs torch's libraries, which k2 has loaded

    fst = k2.Fsa(_k2.fsa_to_fsa_vec(graph.fst.arcs))  # k2.Fsa.from_fsas would copy the arcs
    fst.aux_labels = graph.fst.aux_labels
    return fst


def ctc_topology(units: int) -> k2.Fsa:
    """H alone, the CTC topology over `units` units with blank, as the search takes it."""
    return prepare_graph(DecodingGraph(k2.ctc_topo(units - 1), [], {}))


def search_lattice(
    fst: k2.Fsa, utterance: str, log_probs: Tensor, config: DecodeConfig, failures: int = 0
) -> Tuple[str, Optional[k2.Fsa]]:
    """Search log-probabilities (frame, unit) for a lattice; returns the outcome and the lattice.

    An empty lattice is retried with a wider beam, one that runs out of memory with a narrower beam. If no
    path reaches a final state, 1, 2, 4, ... trailing frames are dropped, up to half, until one with words
    does. If all fail, the outcome is "greedy", without a lattice. `failures` counts earlier attempts that ran
    out of memory or ended their process: after one only the narrower beam is tried, after two none.
    """
    factor, frames = config.retry_beam_factor, len(log_probs)
    narrower = [("narrower_beam", 1 / factor, frames)] if frames else []
    attempts = [("lattice", 1.0, frames), ("wider_beam", factor, frames)] if frames else []
    attempts += [("partial", 1.0, frames - 2**power) for power in range(frames.bit_length() - 1)]
    if failures:
        attempts = narrower if failures == 1 else []
    while attempts:
        outcome, scale, kept = attempts.pop(0)
        try:
            lattice = _search(fst, log_probs[:kept], config, scale)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            print(f"decode: {utterance}: out of memory for a lattice at beam {config.search_beam * scale:g}")
            lattice, attempts = None, narrower if kept == frames and outcome != "narrower_beam" else []
        if lattice is not None and (kept == frames or len(words_on_arcs(lattice)[0])):
            return outcome, lattice
    return "greedy", None


def search_device(device: torch.device) -> Optional[torch.device]:
    """The GPU that utterances are searched on together; None: on a CPU each is searched alone."""
    return device if device.type == "cuda" and k2.with_cuda else None


def batches(log_probs: Mapping[str, Tensor]) -> Iterator[Dict[str, Tensor]]:
    """Log-probabilities (frame, unit) by utterance in batches of BATCH_FRAMES, similar lengths together."""
    batch: Dict[str, Tensor] = {}
    for utterance, each in sorted(log_probs.items(), key=lambda item: len(item[1])):
        if batch and len(each) * (len(batch) + 1) > BATCH_FRAMES:
            yield batch
            batch = {}
        if len(each):
            batch[utterance] = each
    if batch:
        yield batch


def search_lattices(fst: k2.Fsa, log_probs: Sequence[Tensor], config: DecodeConfig) -> List[Optional[k2.Fsa]]:
    """Lattice of each of several log-probabilities (frame, unit), or None; searched where `fst` is."""
    together = _intersect(fst, [each.to(fst.device) for each in log_probs], config, 1.0).to("cpu")
    alone = [together[index] for index in range(len(log_probs))]
    return [k2.Fsa.from_fsas([each]) if each.num_arcs else None for each in alone]


def _search(fst: k2.Fsa, log_probs: Tensor, config: DecodeConfig, factor: float) -> Optional[k2.Fsa]:
    lattice = _intersect(fst, [log_probs], config, factor)
    return lattice if lattice.num_arcs else None


def _intersect(fst: k2.Fsa, log_probs: Sequence[Tensor], config: DecodeConfig, factor: float) -> k2.Fsa:
    # Processes share the graph, so acoustic scores and beams are scaled instead of the graph's LM scores.
    scale = config.search_lm_scale
    least = min(config.min_active_states, MOST_ACTIVE - 1)
    padded = pad_sequence([each.float() / scale for each in log_probs], batch_first=True)
    segments = torch.tensor([[row, 0, len(each)] for row, each in enumerate(log_probs)], dtype=torch.int32)
    lattice = k2.intersect_dense_pruned(
        fst,
        k2.DenseFsaVec(padded, segments),
        search_beam=config.search_beam * factor / scale,
        output_beam=config.output_beam * factor / scale,
        min_active_states=least,
        max_active_states=int(min(max(config.max_active_states * factor, least + 1), MOST_ACTIVE)),
        frame_idx_name="frame",
        seqframe_idx_name="row",
    )
    inside = lattice.labels >= 0  # all arcs but the last
    # k2 has a row for the end of each utterance, too
    rows = torch.cat([torch.nn.functional.pad(each, (0, 0, 0, 1)) for each in log_probs])
    acoustic = torch.zeros(lattice.num_arcs, device=rows.device)
    acoustic[inside] = rows[lattice.row[inside].long(), lattice.labels[inside].long()].float()
    del lattice.row
    lattice.acoustic_scores = acoustic
    lattice.lm_scores = lattice.scores - acoustic / scale
    lattice.scores = acoustic + scale * lattice.lm_scores
    return lattice


def write_lattices(file: Path, searched: Mapping[str, Searched], made_of: str) -> None:
    """Write lattices by utterance id, atomically."""
    tensors: Dict[str, Tensor] = {}
    for utterance, one in searched.items():
        if one.lattice is not None:
            tensors[f"arcs/{utterance}"] = one.lattice.arcs.values()  # (arc, [from, to, unit, score bits])
            tensors[f"words/{utterance}"] = one.lattice.aux_labels  # (arc,), as the next
            for name in ("frame", *SCORES):
                tensors[f"{name}/{utterance}"] = getattr(one.lattice, name)
    rows: List[List[object]] = [[utterance, one.outcome, one.seconds] for utterance, one in searched.items()]
    write_shard(file, tensors, {"made_of": made_of, "rows": rows})


def read_lattices(file: Path) -> Dict[str, Searched]:
    """Read what write_lattices wrote and make_shards verified, without lattices that would crash k2."""
    tensors, about = read_shard(file, check=False)
    searched: Dict[str, Searched] = {}
    for utterance, outcome, seconds in about["rows"]:
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
        searched[utterance] = Searched(outcome, lattice, seconds)
    return searched


def _find_fault(others: Mapping[str, Optional[Tensor]], arcs: int) -> str:
    for name, values in others.items():
        kind = torch.int32 if name == "frame" else torch.float32
        if values is None or (values.dtype, values.shape) != (kind, (arcs,)):
            return f"not one {name} per arc"
        if not bool(values.isfinite().all()):
            return f"infinity or NaN in {name}"
    return ""

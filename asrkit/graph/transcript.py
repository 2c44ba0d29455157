"""Graphs of transcripts, for training: all pronunciations of each word, and optional silence.

READ ON, where READ is R IY D or R EH D, and SIL is the optional silence after it:

    0 -R-> 1 -IY-> 2 -D-> 5 -ON-> 7      Each state is entered by one unit only: what a bigram of units
    0 -R-> 3 -EH-> 4 -D-> 5              says about an arc depends on its source and its unit alone.
    5 -SIL-> 6 -ON-> 7

The CTC topology is that of decoding graphs.
"""

import dataclasses
import math
from typing import Dict, List, Optional, Sequence, Tuple

import k2
import numpy as np
import torch

from asrkit.config.symbols import BLANK
from asrkit.graph.arcs import Arcs, join_arcs, make_arcs
from asrkit.graph.hubs import split_hubs
from asrkit.graph.silence import OptionalSilence
from asrkit.graph.topology import add_topology
from asrkit.text.units import Units


@dataclasses.dataclass(frozen=True)
class Acceptor:
    """An acceptor of unit sequences whose states are entered by one unit each; state 0 is the start."""

    arcs: Arcs  # sorted by source
    final: np.ndarray  # (state,) log scores
    entered: np.ndarray  # (state,) the unit; BLANK for the start

    def weighed(self, bigram: np.ndarray) -> "Acceptor":
        """With log-probabilities `bigram` (last unit, unit) added; BLANK stands for start and end."""
        scores = bigram[self.entered[self.arcs.source], self.arcs.unit].astype(np.float32)
        final = self.final + bigram[self.entered, BLANK].astype(np.float32)
        return dataclasses.replace(self, arcs=self.arcs.take(score=self.arcs.score + scores), final=final)

    def count_pairs(self, counts: np.ndarray, times: int) -> None:
        """Add `times` to `counts` (last unit, unit) for each arc and each end."""
        np.add.at(counts, (self.entered[self.arcs.source], self.arcs.unit), times)
        np.add.at(counts, (self.entered[np.isfinite(self.final)], BLANK), times)

    def compile(self, units: int, modified: bool) -> k2.Fsa:
        """H composed with it, sorted by arcs as k2.intersect_dense needs; `units` counts the blank too."""
        table, _ = add_topology(split_hubs(self.arcs, self.final, units, modified), units, modified)
        return k2.arc_sort(k2.Fsa(torch.from_numpy(table)))


class Transcripts:
    """Makes acceptors of texts."""

    def __init__(self, units: Units, silence: Optional[OptionalSilence] = None) -> None:
        self._units, self._silence = units, silence
        best: Dict[str, float] = {}
        for entry in units.lexicon:
            best[entry.word] = max(entry.probability, best.get(entry.word, 0.0))
        self._spellings: Dict[str, List[Tuple[List[int], float]]] = {}
        for entry in units.lexicon:  # relative to the most probable one, as in decoding graphs
            score = math.log(entry.probability / best[entry.word])
            ids = [units.ids[unit] for unit in entry.units]
            self._spellings.setdefault(entry.word, []).append((ids, score))

    def accept(self, text: str) -> Acceptor:
        """The acceptor of a text whose words all have units."""
        entered = [BLANK]
        rows: List[Tuple[int, int, int, float]] = []  # source, target, unit, score
        ends = self._add_silence([0], entered, rows)
        for word in text.split():
            after: Dict[int, int] = {}  # last unit of the word -> state
            for ids, score in self._spellings.get(word) or [(self._units.encode(word), 0.0)]:
                sources = [(state, before + score) for state, before in ends]
                for place, unit in enumerate(ids, start=1):
                    target = after.get(unit, len(entered)) if place == len(ids) else len(entered)
                    if target == len(entered):
                        entered.append(unit)
                    rows += [(source, target, unit, before) for source, before in sources]
                    sources = [(target, 0.0)]
                after[ids[-1]] = target
            ends = self._add_silence(list(after.values()), entered, rows)
        final = np.full(len(entered), -np.inf, dtype=np.float32)
        for state, score in ends:
            final[state] = score
        columns = np.array([row[:3] for row in rows], dtype=np.int32).reshape(-1, 3)
        source, target, unit = columns.T
        arcs = make_arcs(source, target, unit, score=np.array([row[3] for row in rows], dtype=np.float32))
        return Acceptor(join_arcs([arcs]), final, np.array(entered, dtype=np.int32))

    def _add_silence(
        self, states: Sequence[int], entered: List[int], rows: List[Tuple[int, int, int, float]]
    ) -> List[Tuple[int, float]]:
        """States after some word ends, with and without silence, and the score of going on from each."""
        if self._silence is None:
            return [(state, 0.0) for state in states]
        unit, probability = self._silence
        entered.append(unit)
        silent = len(entered) - 1
        rows += [(state, silent, unit, math.log(probability)) for state in states]
        return [*((state, math.log(1 - probability)) for state in states), (silent, 0.0)]


def accept_pairs(counts: np.ndarray) -> Acceptor:
    """The acceptor of all unit sequences whose pairs (last unit, unit) were counted; its scores are 0."""
    source, unit = (column.astype(np.int32) for column in np.nonzero(counts[:, 1:]))
    entered = np.arange(len(counts), dtype=np.int32)  # state a: a was last
    final = np.where(counts[:, BLANK] > 0, 0.0, -np.inf).astype(np.float32)
    return Acceptor(make_arcs(source, unit + 1, unit + 1), final, entered)

"""The ways to decode, one table: what each searches, what its n-best lists hold, what is chosen on dev.

An attention decoder takes its place here as "nbest" does: its SequenceScorer adds a column to the lists of
"nbest", and METHOD_GRIDS gets its weight.
"""

import collections
import copy
import dataclasses
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import k2
import msgspec
import numpy as np
from torch import Tensor

from asrkit.config import DecodeConfig
from asrkit.decode.blanks import kept_frames, skip_blanks
from asrkit.decode.confidence import time_words
from asrkit.decode.nbest import NBest, make_points, single
from asrkit.decode.paths import list_hypotheses
from asrkit.decode.prefix import make_prefix_search
from asrkit.decode.rescore import make_ngram_scorer, make_rescoring_grammar, rescore_lattice
from asrkit.decode.search import prepare_graph, search_lattice
from asrkit.graph.store import DecodingGraph
from asrkit.model.acoustic import greedy_ctc
from asrkit.text.units import Units

Grid = Dict[
    str, Sequence[float]
]  # values that are tried of each weight, in the order of an n-best list's columns

LATTICE_METHODS = {"hlg", "nbest", "lattice", "oracle"}


def method_grids(config: DecodeConfig) -> Dict[str, Grid]:
    """What is tried on dev for each method; nothing for greedy and for oracle, which takes the references."""
    plain: Grid = {"lm_scale": config.lm_scales, "word_bonus": config.word_bonuses}
    # The larger n-gram replaces the graph's own: the two know the same text.
    rescored: Grid = {
        "lm_scale": (0.0,),
        "word_bonus": config.word_bonuses,
        "rescore_scale": config.lm_scales,
    }
    every = {"greedy": {}, "prefix": plain, "hlg": plain, "nbest": rescored, "lattice": plain, "oracle": {}}
    return {method: every[method] for method in config.methods}


def method_settings(config: DecodeConfig, method: str) -> Dict[str, Any]:
    """The settings that a method's result depends on, as its record names them."""
    searched = ("search_beam", "output_beam", "min_active_states", "max_active_states", "ladder_beam_factor")
    named: Dict[str, Sequence[str]] = {"prefix": ("prefix_beams", "search_lm_scale")}
    for each in LATTICE_METHODS:
        named[each] = (*searched, "search_lm_scale", "blank_skip_threshold")
    for each in ("nbest", "oracle"):
        named[each] = (*named[each], "nbest_paths")
    settings = {name: getattr(config, name) for name in named.get(method, ())}
    return {name: value for name, value in settings.items() if value is not None}


class UtteranceDecoder:
    """Decodes one utterance by all the methods of a recipe; the lattice is searched once for all."""

    def __init__(
        self,
        config: DecodeConfig,
        units: Units,
        graph: DecodingGraph,
        words_file: Path,
        arpa: Path,
        larger: Path,
    ) -> None:
        """`arpa`: the language model of the graph; `larger`: the one that nbest and lattice rescore with."""
        self.config, self.units, self.symbols = config, units, graph.words
        self.fst = prepare_graph(graph)
        self.pronunciations: Dict[str, List[List[int]]] = collections.defaultdict(list)
        for entry in units.lexicon:
            self.pronunciations[entry.word].append([units.ids[unit] for unit in entry.units])
        methods = config.methods
        self.prefix = make_prefix_search(units, arpa, config) if "prefix" in methods else None
        self.rescore = make_ngram_scorer(larger) if "nbest" in methods else None
        self.grammar = make_rescoring_grammar(larger, words_file) if "lattice" in methods else None

    def only(self, method: str) -> "UtteranceDecoder":
        """The same decoder for one of its methods alone."""
        narrowed = copy.copy(self)
        narrowed.config = msgspec.structs.replace(self.config, methods=(method,))
        return narrowed

    def decode(
        self, utterance: str, log_probs: Tensor, points: Mapping[str, np.ndarray]
    ) -> Dict[str, Tuple[NBest, float]]:
        """n-best list and seconds of each method; `log_probs` (frame, unit).

        `points` (point, weight) are those at which the list of "hlg" and of "lattice" must hold the best;
        where there is one, it is the chosen one, and the words of "hlg" are timed.
        """
        started = time.perf_counter()
        words = self.units.words(greedy_ctc(log_probs[None], [len(log_probs)])[0])
        greedy = single(words, "greedy" if words else "empty")
        found = {"greedy": (greedy, time.perf_counter() - started)}
        if self.prefix is not None and "prefix" in self.config.methods:
            started = time.perf_counter()
            found["prefix"] = (self.prefix(utterance, log_probs), time.perf_counter() - started)
        if LATTICE_METHODS & set(self.config.methods):
            started = time.perf_counter()
            shorter = skip_blanks(log_probs, self.config.blank_skip_threshold)
            way, lattice = search_lattice(self.fst, utterance, shorter, self.config)
            seconds = time.perf_counter() - started
            for method in LATTICE_METHODS & set(self.config.methods):
                started = time.perf_counter()
                nbest = self._list(method, utterance, lattice, way, points) if lattice is not None else None
                if nbest is not None and method == "hlg" and len(points[method]) == 1:
                    nbest = self._timed(nbest, lattice, log_probs, points[method][0])
                found[method] = (nbest or greedy, seconds + time.perf_counter() - started)
        return {method: found[method] for method in self.config.methods}

    def _list(
        self, method: str, utterance: str, lattice: k2.Fsa, way: str, points: Mapping[str, np.ndarray]
    ) -> Optional[NBest]:
        """What a method makes of the lattice; None where the larger model allows none of it."""
        if method == "hlg":
            return list_hypotheses(lattice, self.symbols, way, points[method])
        if method == "lattice":
            rescored = rescore_lattice(lattice, self.grammar)
            return list_hypotheses(rescored, self.symbols, way, points[method]) if rescored.num_arcs else None
        searched = make_points([[self.config.search_lm_scale], [0.0]])
        nbest = list_hypotheses(lattice, self.symbols, way, searched, self.config.nbest_paths)
        if method == "nbest" and self.rescore is not None:
            nbest = nbest.with_column(self.rescore(utterance, nbest.words))
        return nbest

    def _timed(self, nbest: NBest, lattice: k2.Fsa, log_probs: Tensor, point: np.ndarray) -> NBest:
        frames = kept_frames(log_probs, self.config.blank_skip_threshold).nonzero()[:, 0]
        timed = time_words(lattice, self.symbols, self.pronunciations, point, frames)
        return dataclasses.replace(nbest, timed=timed)

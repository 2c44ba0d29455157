"""The ways to decode, one table: what each searches, what its n-best lists hold, what is chosen on dev."""

import collections
import copy
import dataclasses
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import k2
import msgspec
import numpy as np
from torch import Tensor

from asrkit.config import DecodeConfig
from asrkit.decode.confidence import time_words
from asrkit.decode.lattices import Searched
from asrkit.decode.nbest import NBest, make_points, single
from asrkit.decode.paths import draw_hypotheses, list_hypotheses, words_on_arcs
from asrkit.decode.prefix import make_prefix_search
from asrkit.decode.rescore import (
    make_attention_scorer,
    make_ngram_scorer,
    make_rescoring_grammar,
    rescore_lattice,
)
from asrkit.decode.search import is_lack_of_memory, kept_frames, prepare_graph, search_lattice, skip_blanks
from asrkit.decode.topology import make_topology_search
from asrkit.errors import UserError
from asrkit.graph.store import DecodingGraph
from asrkit.lm.neural import SentenceScorer, make_neural_scorer
from asrkit.model.acoustic import greedy_ctc, load_model
from asrkit.pipeline.parallel import at_risk
from asrkit.text.units import Units

# Values that are tried of each weight, in the order of an n-best list's columns
Grid = Dict[str, Sequence[float]]

NBEST_METHODS = {"nbest", "attention", "neural", "oracle"}  # they share one n-best list
HLG_METHODS = {"hlg", "lattice", *NBEST_METHODS}
LATTICE_METHODS = {"h", *HLG_METHODS}
BEAMS = ("search_beam", "output_beam", "min_active_states", "max_active_states", "ladder_beam_factor")


def method_grids(config: DecodeConfig) -> Dict[str, Grid]:
    """What is tried on dev for each method; nothing for greedy and for oracle, which takes the references."""
    plain: Grid = {"lm_scale": config.lm_scales, "word_bonus": config.word_bonuses}
    # The larger n-gram replaces the graph's own: the two know the same text.
    rescored: Grid = {
        "lm_scale": (0.0,),
        "word_bonus": config.word_bonuses,
        "rescore_scale": config.lm_scales,
    }
    # Beside a better model of the same text the n-gram may be worth nothing.
    optional: Grid = {"lm_scale": lm_scales_from_zero(config), "word_bonus": config.word_bonuses}
    every: Dict[str, Grid] = {
        "greedy": {},
        "h": optional,
        "nbest": rescored,
        "attention": {**optional, "attention_scale": config.attention_scales},
        "neural": {**optional, "neural_scale": lm_scales_from_zero(config)},
        "oracle": {},
    }
    return {method: every.get(method, plain) for method in config.methods}


def lm_scales_from_zero(config: DecodeConfig) -> Sequence[float]:
    """The weights of the n-gram that are tried, and none."""
    return tuple(dict.fromkeys((0.0, *config.lm_scales)))


def method_settings(config: DecodeConfig, method: str) -> Dict[str, Any]:
    """The settings that a method's result depends on, as its record names them."""
    named: Dict[str, Sequence[str]] = {
        "prefix": ("prefix_beams", "search_lm_scale"),
        "h": (*BEAMS, "blank_skip_threshold", "nbest_paths"),
    }
    for each in HLG_METHODS:
        named[each] = (*BEAMS, "search_lm_scale", "blank_skip_threshold")
    for each in NBEST_METHODS:
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
        model: Path,
        neural: Path,
    ) -> None:
        """`arpa`: the language model of the graph; `larger`: the one that nbest and lattice rescore with;
        `model`: the acoustic model, whose decoder attention rescores with; `neural`: that of lm.neural."""
        self.config, self.units, self.symbols = config, units, graph.words
        highest = int(graph.fst.arcs.values()[:, 2].max())
        if highest >= len(units):  # k2 would read scores beyond the frame's end
            raise UserError(
                f"an arc of the graph has unit {highest}",
                expected=f"units below {len(units)}, as in units.txt",
                where="graph/HLG.safetensors",
                todo="run.sh --stage graph --stop-stage graph regenerates it",
            )
        self.fst = prepare_graph(graph)
        self.silence = units.ids.get(graph.made_of.get("optional_silence", ""))
        self.pronunciations: Dict[str, List[List[int]]] = collections.defaultdict(list)
        for entry in units.lexicon:
            self.pronunciations[entry.word].append([units.ids[unit] for unit in entry.units])
        methods = config.methods
        self.prefix = make_prefix_search(units, arpa, config) if "prefix" in methods else None
        self.topology = make_topology_search(units, arpa, config) if "h" in methods else None
        self.scorers: Dict[str, SentenceScorer] = {}
        if "nbest" in methods:
            self.scorers["nbest"] = make_ngram_scorer(larger)
        if "neural" in methods:
            self.scorers["neural"] = make_neural_scorer(neural)
        self.model = load_model(model)[0] if "attention" in methods else None
        self.grammar = None
        if "lattice" in methods:
            self.grammar = make_rescoring_grammar(larger, words_file, units.unknown_word)

    def only(self, method: str) -> "UtteranceDecoder":
        """The same decoder for one of its methods alone."""
        narrowed = copy.copy(self)
        narrowed.config = msgspec.structs.replace(self.config, methods=(method,))
        return narrowed

    def search(self, utterance: str, log_probs: Tensor) -> Searched:
        """The lattice of log-probabilities (frame, unit); narrower after a process was ended at it."""
        with at_risk(f"decode: {utterance}") as failures:
            return self._search(utterance, log_probs, failures)

    def _search(self, utterance: str, log_probs: Tensor, failures: int) -> Searched:
        started = time.perf_counter()
        shorter = skip_blanks(log_probs, self.config.blank_skip_threshold)
        way, lattice = search_lattice(self.fst, utterance, shorter, self.config, failures)
        return Searched(way, lattice, time.perf_counter() - started)

    def decode(
        self,
        utterance: str,
        log_probs: Tensor,
        points: Mapping[str, np.ndarray],
        encoded: Optional[Tensor] = None,
        searched: Optional[Searched] = None,
    ) -> Dict[str, Tuple[NBest, float]]:
        """n-best list and seconds of each method; `log_probs` (frame, unit), `encoded` (frame, dim).

        `searched` is what search gave, if it was asked before. `points` (point, weight) are those at which
        the list of "hlg" and of "lattice" must hold the best; where there is one, it is the chosen one, and
        the words of "hlg" are timed. What fails for want of memory, or with its process, is done again from
        a narrower lattice, and then by greedy.
        """
        with at_risk(f"decode: {utterance}") as failures:
            while True:
                try:
                    return self._decode(utterance, log_probs, points, encoded, searched, failures)
                except (MemoryError, RuntimeError) as error:
                    if failures > 1 or not is_lack_of_memory(error):
                        raise
                    print(f"decode: {utterance}: no memory for its lattice", flush=True)
                    failures += 1

    def _decode(
        self,
        utterance: str,
        log_probs: Tensor,
        points: Mapping[str, np.ndarray],
        encoded: Optional[Tensor],
        searched: Optional[Searched],
        failures: int,
    ) -> Dict[str, Tuple[NBest, float]]:
        started = time.perf_counter()
        words = self.units.words(greedy_ctc(log_probs[None], [len(log_probs)])[0])
        greedy = single(words, "greedy" if words else "empty")
        found = {"greedy": (greedy, time.perf_counter() - started)}
        if self.prefix is not None and "prefix" in self.config.methods:
            started = time.perf_counter()
            found["prefix"] = (self.prefix(log_probs), time.perf_counter() - started)
        if self.topology is not None and "h" in self.config.methods:
            started = time.perf_counter()
            shorter = skip_blanks(log_probs, self.config.blank_skip_threshold)
            listed = self.topology(utterance, shorter, failures) or greedy
            found["h"] = (listed, time.perf_counter() - started)
        if HLG_METHODS & set(self.config.methods):
            if failures or searched is None or not self._fits(searched.lattice):
                searched = self._search(utterance, log_probs, failures)
            found.update(dict.fromkeys(HLG_METHODS, (greedy, searched.seconds)))
            if searched.lattice is not None:
                for method, nbest, seconds in self._lists(
                    searched.lattice, searched.way, log_probs, points, encoded
                ):
                    found[method] = (nbest or greedy, searched.seconds + seconds)
        return {method: found[method] for method in self.config.methods}

    def _fits(self, lattice: Optional[k2.Fsa]) -> bool:
        """Whether a lattice from elsewhere has units and words of these tables only."""
        if lattice is None:
            return True
        known = words_on_arcs(lattice)[0] < len(self.symbols)
        return bool(known.all()) and int(lattice.labels.max()) < len(self.units)

    def _lists(
        self,
        lattice: k2.Fsa,
        way: str,
        log_probs: Tensor,
        points: Mapping[str, np.ndarray],
        encoded: Optional[Tensor],
    ) -> Iterator[Tuple[str, Optional[NBest], float]]:
        """What each method makes of the lattice, and its seconds; None where the larger model allows none."""
        started = time.perf_counter()
        if "hlg" in self.config.methods:
            nbest = list_hypotheses(lattice, self.symbols, way, points["hlg"])
            if len(points["hlg"]) == 1:
                nbest = self._timed(nbest, lattice, log_probs, points["hlg"][0])
            yield "hlg", nbest, time.perf_counter() - started
        started = time.perf_counter()
        if "lattice" in self.config.methods:
            whole = rescore_lattice(lattice, self.grammar)
            found = list_hypotheses(whole, self.symbols, way, points["lattice"]) if whole.num_arcs else None
            yield "lattice", found, time.perf_counter() - started
        started = time.perf_counter()
        if NBEST_METHODS & set(self.config.methods):
            grid = make_points([lm_scales_from_zero(self.config), self.config.word_bonuses])
            shorter = skip_blanks(log_probs, self.config.blank_skip_threshold)
            drawn = draw_hypotheses(lattice, shorter, self.config.nbest_paths)
            nbest = list_hypotheses(lattice, self.symbols, way, grid, drawn)
            listed = time.perf_counter() - started
            yield "oracle", nbest, listed
            for method, score in self._scorers(encoded).items():
                started = time.perf_counter()
                yield method, nbest.with_column(score(nbest.words)), listed + time.perf_counter() - started

    def _scorers(self, encoded: Optional[Tensor]) -> Dict[str, SentenceScorer]:
        """What gives the n-best list its further column, by method."""
        scorers = dict(self.scorers)
        if self.model is not None:
            if encoded is None:
                raise ValueError("method attention without the encoder's output")
            scorers["attention"] = make_attention_scorer(self.model, self.units, encoded)
        return {method: scorers[method] for method in scorers if method in self.config.methods}

    def _timed(self, nbest: NBest, lattice: k2.Fsa, log_probs: Tensor, point: np.ndarray) -> NBest:
        frames = kept_frames(log_probs, self.config.blank_skip_threshold).nonzero()[:, 0]
        timed = time_words(lattice, self.symbols, self.pronunciations, point, frames, self.silence)
        return dataclasses.replace(nbest, timed=timed)

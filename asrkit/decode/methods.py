"""Decoding methods: one class per entry of METHODS in asrkit/config/methods.py, run on one utterance.

    posteriors --> greedy, prefix-beam-search                                   (search nothing)
               --> H --> lattice --> n-best list: ctc-decoding
    encoder's output --> transducer-greedy, modified-beam-search; LG --> lattice --> fast-beam-search
               --> HLG --> lattice --> 1best, whole-lattice-rescoring
                                   --> n-best list: nbest-rescoring, attention-decoder, neural-rescoring, ...

k2 is imported by what searches H or HLG, and not before.
"""

import collections
import dataclasses
import functools
import logging
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from asrkit.config import DecodeConfig, GraphConfig
from asrkit.config.methods import (
    FOLDERS,
    LARGER_LM,
    LM,
    METHODS,
    NEURAL_LM,
    SECOND_NEURAL_LM,
    WORDS,
    Weight,
)
from asrkit.decode.nbest import COLUMNS, NBest, is_out_of_memory, make_points
from asrkit.decode.transducer import fast_beam_search, modified_beam_search
from asrkit.errors import UserError
from asrkit.lm.kenlm import load_kenlm
from asrkit.lm.neural import SentenceScorer, make_neural_scorer
from asrkit.model.acoustic import AcousticModel, greedy_ctc, score_sequences
from asrkit.model.transducer import Transducer, greedy_transducer
from asrkit.pipeline.parallel import at_risk
from asrkit.text.units import Units

if TYPE_CHECKING:
    import k2

    from asrkit.decode.search import Searched
    from asrkit.graph.store import DecodingGraph

SEQUENCES_AT_ONCE = 16  # through the attention decoder: its states for 40 s of audio take about 200 MB


@dataclasses.dataclass
class Utterance:
    """What methods decode; lattice and n-best list are made once for all methods."""

    id: str
    log_probs: Tensor  # (frame, unit)
    encoded: Optional[Tensor] = None  # (frame, dim)
    failures: int = 0  # earlier attempts that ran out of memory or ended their process
    outcome: str = ""  # of the search in HLG
    lattice: Any = None  # k2.Fsa, of HLG
    nbest: Any = None  # NBest drawn from it


class UtteranceDecoder:
    """Decodes one utterance with the methods of a recipe."""

    def __init__(
        self,
        config: DecodeConfig,
        units: Units,
        graph: Optional["DecodingGraph"] = None,
        files: Optional[Mapping[str, Path]] = None,
        model: Optional[AcousticModel] = None,
    ) -> None:
        """Prepare the methods; `graph` (HLG), `files` and `model` are required only if a method needs them.

        `files`: paths by the names in METHODS, and folders of pretrained models by the settings in FOLDERS.
        """
        self.config, self.units, self.graph, self.files, self.model = config, units, graph, files or {}, model
        if graph is not None:
            from asrkit.decode.search import prepare_graph

            highest = int(graph.fst.arcs.values()[:, 2].max())
            if highest >= len(units):  # k2 would read scores beyond the frame's end
                raise UserError(
                    f"an arc of the graph has unit {highest}",
                    expected=f"units below {len(units)}, as in units.txt",
                    where="graph/HLG.safetensors",
                    todo="run.sh --stage graph --stop-stage graph regenerates it",
                )
            self.fst = prepare_graph(graph)
            self.moved_fst: Any = None  # on the device of search_together
        self.methods: Dict[str, Callable[[Utterance, np.ndarray], Optional[NBest]]] = {
            name: CLASSES[name](self) for name in config.methods
        }

    def search(self, utterance: str, log_probs: Tensor) -> "Searched":
        """Search HLG for the lattice of log-probabilities (frame, unit); see asrkit.decode.search."""
        with at_risk(f"decode: {utterance}") as failures:
            return self._search(utterance, log_probs, failures)

    def search_together(self, log_probs: Mapping[str, Tensor], device: torch.device) -> Dict[str, "Searched"]:
        """As search, by utterance, in batches on `device`.

        What has no lattice then, and all of a batch that ran out of memory or ended its process, is searched
        alone on the CPU.
        """
        from asrkit.decode.search import batches, skip_blanks

        self.moved_fst = self.fst.to(device) if self.moved_fst is None else self.moved_fst
        threshold = self.config.blank_skip_threshold
        found: Dict[str, Searched] = {}
        for batch in batches({name: skip_blanks(each, threshold) for name, each in log_probs.items()}):
            with at_risk(f"decode: {len(batch)} utterances from {next(iter(batch))} on") as failures:
                if not failures:
                    found.update(self._search_batch(batch))
        return {name: found.get(name) or self.search(name, each) for name, each in log_probs.items()}

    def _search_batch(self, batch: Mapping[str, Tensor]) -> Dict[str, "Searched"]:
        from asrkit.decode.search import Searched, search_lattices

        started = time.perf_counter()
        try:
            lattices = search_lattices(self.moved_fst, list(batch.values()), self.config)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            print(f"decode: out of memory for {len(batch)} utterances at once; each is searched alone")
            return {}
        seconds = (time.perf_counter() - started) / len(batch)
        found = zip(batch, lattices)
        return {name: Searched("lattice", each, seconds) for name, each in found if each is not None}

    def _search(self, utterance: str, log_probs: Tensor, failures: int) -> "Searched":
        from asrkit.decode.search import Searched, search_lattice, skip_blanks

        started = time.perf_counter()
        shorter = skip_blanks(log_probs, self.config.blank_skip_threshold)
        outcome, lattice = search_lattice(self.fst, utterance, shorter, self.config, failures)
        return Searched(outcome, lattice, time.perf_counter() - started)

    def decode(
        self,
        utterance: str,
        log_probs: Tensor,
        points: Mapping[str, np.ndarray],
        encoded: Optional[Tensor] = None,
        searched: Optional["Searched"] = None,
    ) -> Dict[str, Tuple[NBest, float]]:
        """n-best list and seconds by method; `log_probs` (frame, unit), `encoded` (frame, dim).

        `points` (point, weight) by method are those at which its list must contain the best hypothesis; the
        methods in `points` are run. `searched` is the stored result of search. If memory runs out, or the
        process ended at this utterance before, the search is retried with a narrower beam, then not at all.
        """
        with at_risk(f"decode: {utterance}") as failures:
            while True:
                try:
                    return self._decode(Utterance(utterance, log_probs, encoded, failures), points, searched)
                except (MemoryError, RuntimeError) as error:
                    if failures > 1 or not is_out_of_memory(error):
                        raise
                    print(f"decode: {utterance}: out of memory for its lattice", flush=True)
                    failures += 1

    def _decode(
        self, utterance: Utterance, points: Mapping[str, np.ndarray], searched: Optional["Searched"]
    ) -> Dict[str, Tuple[NBest, float]]:
        chosen = {name: METHODS[name] for name in points}
        seconds = {"search": 0.0, "nbest": 0.0}
        if any(method.searches == "HLG" for method in chosen.values()):
            if utterance.failures or searched is None or not self._fits(searched.lattice):
                searched = self._search(utterance.id, utterance.log_probs, utterance.failures)
            utterance.outcome, utterance.lattice = searched.outcome, searched.lattice
            seconds["search"] = searched.seconds
        if utterance.lattice is not None and any(method.rescores_nbest for method in chosen.values()):
            started = time.perf_counter()
            utterance.nbest = self._draw_nbest(utterance)
            seconds["nbest"] = time.perf_counter() - started
        found: Dict[str, Tuple[NBest, float]] = {}
        for name, method in chosen.items():
            started = time.perf_counter()
            has_lattice = method.searches != "HLG" or utterance.lattice is not None
            nbest = self.methods[name](utterance, points[name]) if has_lattice else None
            spent = time.perf_counter() - started
            spent += seconds["search"] if method.searches == "HLG" else 0.0
            spent += seconds["nbest"] if method.rescores_nbest else 0.0
            found[name] = (nbest or decode_greedily(self.units, utterance.log_probs), spent)
        return found

    def _fits(self, lattice: Optional["k2.Fsa"]) -> bool:
        """Whether a stored lattice has only units and words of these tables."""
        from asrkit.decode.paths import words_on_arcs

        if lattice is None or self.graph is None:
            return True
        known = words_on_arcs(lattice)[0] < len(self.graph.words)
        return bool(known.all()) and int(lattice.labels.max()) < len(self.units)

    def _draw_nbest(self, utterance: Utterance) -> NBest:
        """The n-best list that methods rescore: best paths on the grid, then drawn paths."""
        from asrkit.decode.paths import draw_hypotheses, list_hypotheses
        from asrkit.decode.search import skip_blanks

        assert self.graph is not None
        scales = Weight("lm_scales", (0.0,)).tried(self.config)
        grid = make_points([scales, self.config.word_bonuses])
        shorter = skip_blanks(utterance.log_probs, self.config.blank_skip_threshold)
        drawn = draw_hypotheses(utterance.lattice, shorter, self.config.nbest_paths)
        return list_hypotheses(utterance.lattice, self.graph.words, utterance.outcome, grid, drawn)


def decode_greedily(units: Units, log_probs: Tensor) -> NBest:
    """The greedy CTC transcript, with scores of 0; the fallback of the methods for CTC."""
    return _greedy_nbest(units.words(greedy_ctc(log_probs[None], [len(log_probs)])[0]))


def _greedy_nbest(words: List[str]) -> NBest:
    return NBest([words], np.zeros((1, len(COLUMNS))), "greedy" if words else "empty")


def make_ngram_scorer(arpa: Path) -> SentenceScorer:
    """Score sentences with an ARPA model of order 2 or more."""
    model = load_kenlm(arpa)

    def score(sentences: Sequence[Sequence[str]]) -> np.ndarray:
        return math.log(10) * np.array([model.score(" ".join(words)) for words in sentences])

    return score


def _sentence_scorer(decoder: "UtteranceDecoder", file: str) -> SentenceScorer:
    """That of the larger n-gram or of a neural language model."""
    if file == LARGER_LM:
        return make_ngram_scorer(decoder.files[file])
    return make_neural_scorer(decoder.files[file], decoder.files.get(FOLDERS[file]))


class Greedy:
    """Best unit of each frame."""

    def __init__(self, decoder: UtteranceDecoder) -> None:
        self.units = decoder.units

    def __call__(self, utterance: Utterance, points: np.ndarray) -> NBest:
        """The one hypothesis; `points` don't matter."""
        return decode_greedily(self.units, utterance.log_probs)


class PrefixBeamSearch:
    """CTC prefix beam search with an n-gram, without lexicon, by pyctcdecode; the units must spell words.

    Prefixes are summed over their alignments (Hannun et al. 2014).
    """

    def __init__(self, decoder: UtteranceDecoder) -> None:
        import pyctcdecode

        logging.getLogger("pyctcdecode").setLevel(logging.ERROR)  # it warns of an unknown unit CTC never has
        units, arpa, self.beams = decoder.units, decoder.files[LM], decoder.config.prefix_beams
        words = {entry.word for entry in units.lexicon}
        scale = decoder.config.search_lm_scale
        model = pyctcdecode.LanguageModel(load_kenlm(arpa), words, alpha=scale, beta=0.0)
        alphabet = pyctcdecode.Alphabet.build_alphabet(["", *units.symbols[1:]])  # "" is the blank
        self.search = pyctcdecode.BeamSearchDecoderCTC(alphabet, model)
        self.score = make_ngram_scorer(arpa)

    def __call__(self, utterance: Utterance, points: np.ndarray) -> NBest:
        """The final beams as n-best list."""
        beams = self.search.decode_beams(utterance.log_probs.numpy(), beam_width=self.beams)
        words = [beam[0].split() for beam in beams]
        acoustic = np.array([beam[3] for beam in beams])
        counts = np.array([len(each) for each in words])
        return NBest(words, np.column_stack([acoustic, self.score(words), counts]), "prefix")


class CtcDecoding:
    """Search in the CTC topology H alone; the n-gram scores the words that greedy makes of the units."""

    def __init__(self, decoder: UtteranceDecoder) -> None:
        from asrkit.decode.search import ctc_topology

        self.units, self.config = decoder.units, decoder.config
        self.fst = ctc_topology(len(self.units))
        self.score = make_ngram_scorer(decoder.files[LM])

    def __call__(self, utterance: Utterance, points: np.ndarray) -> Optional[NBest]:
        """n-best list of paths through H, rescored; None without a lattice."""
        from asrkit.decode.paths import draw_hypotheses, list_hypotheses
        from asrkit.decode.search import search_lattice, skip_blanks

        shorter = skip_blanks(utterance.log_probs, self.config.blank_skip_threshold)
        outcome, lattice = search_lattice(self.fst, utterance.id, shorter, self.config, utterance.failures)
        if lattice is None:
            return None
        drawn = draw_hypotheses(lattice, shorter, self.config.nbest_paths)
        acoustic_only = np.zeros((1, 2))  # a single weight point: the lattice has acoustic scores only
        paths = list_hypotheses(lattice, self.units.symbols, outcome, acoustic_only, drawn)
        words = [self.units.words([self.units.ids[unit] for unit in path]) for path in paths.words]
        counts = np.array([len(each) for each in words])
        return NBest(words, np.column_stack([paths.scores[:, 0], self.score(words), counts]), outcome)


class OneBest:
    """Best path of the lattice at each point; at a single point, the chosen one, its words are timed."""

    def __init__(self, decoder: UtteranceDecoder) -> None:
        assert decoder.graph is not None
        units = decoder.units
        self.symbols, self.threshold = decoder.graph.words, decoder.config.blank_skip_threshold
        self.silence = units.ids.get(decoder.graph.made_of.get("optional_silence", ""))
        self.pronunciations: Dict[str, List[List[int]]] = collections.defaultdict(list)
        for entry in units.lexicon:
            self.pronunciations[entry.word].append([units.ids[unit] for unit in entry.units])

    def __call__(self, utterance: Utterance, points: np.ndarray) -> NBest:
        """The best paths; `points` (point, [lm_scale, word_bonus])."""
        from asrkit.decode.confidence import time_words
        from asrkit.decode.paths import list_hypotheses
        from asrkit.decode.search import kept_frames

        lattice = utterance.lattice
        nbest = list_hypotheses(lattice, self.symbols, utterance.outcome, points)
        if len(points) > 1:
            return nbest
        frames = kept_frames(utterance.log_probs, self.threshold).nonzero()[:, 0]
        timed = time_words(lattice, self.symbols, self.pronunciations, points[0], frames, self.silence)
        return dataclasses.replace(nbest, timed=timed)


class WholeLatticeRescoring:
    """Best path of the lattice at each point, with the scores of a larger n-gram model.

    Words that the larger model lacks are scored as <unk>, as in nbest-rescoring.
    """

    def __init__(self, decoder: UtteranceDecoder) -> None:
        from asrkit.graph.compile import make_acceptor, words_without_ngram
        from asrkit.graph.grammar import make_grammar

        assert decoder.graph is not None
        self.symbols, files = decoder.graph.words, decoder.files
        unknown = len(self.symbols)  # label of <unk>
        grammar = make_grammar(files[LARGER_LM], files[WORDS], unknown_id=unknown)
        absent = set(words_without_ngram(decoder.units, self.symbols, grammar))
        labels = [unknown if word in absent else index for index, word in enumerate(self.symbols)]
        self.scored_as = torch.tensor(labels, dtype=torch.int32)
        _report_absent(
            sorted(absent - {decoder.units.unknown_word}), files[LARGER_LM], unknown in grammar.word
        )
        self.grammar = make_acceptor(grammar)  # with epsilon back-off arcs
        self.grammar.lm_scores = self.grammar.scores.clone()

    def __call__(self, utterance: Utterance, points: np.ndarray) -> NBest:
        """The best paths; not rescored if the larger model allows no word sequence of the lattice."""
        from asrkit.decode.paths import list_hypotheses, rescore_lattice

        rescored = rescore_lattice(utterance.lattice, self.grammar, self.scored_as)
        if not rescored.num_arcs:
            return list_hypotheses(utterance.lattice, self.symbols, "unrescored", points)
        return list_hypotheses(rescored, self.symbols, utterance.outcome, points)


def _report_absent(absent: Sequence[str], arpa: Path, as_unknown: bool) -> None:
    """Report words that the larger n-gram model lacks."""
    if absent:
        fate = "are scored as <unk>" if as_unknown else "can't be recognised, as it has no <unk>"
        some = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        print(f"decode: whole-lattice-rescoring: {len(absent):,} words that {arpa.name} lacks {fate}: {some}")


class LmRescoring:
    """n-best list with one more column of scores for each of some language models."""

    def __init__(self, files: Sequence[str], decoder: UtteranceDecoder) -> None:
        self.scorers = [_sentence_scorer(decoder, file) for file in files]

    def __call__(self, utterance: Utterance, points: np.ndarray) -> NBest:
        """The drawn n-best list with the models' columns."""
        nbest: NBest = utterance.nbest
        for score in self.scorers:
            nbest = nbest.with_column(score(nbest.words))
        return nbest


class AttentionDecoder:
    """n-best list with one more column of scores: those of the attention decoder.

    A word is spelled by its most probable pronunciation, as in the decoder's training.
    """

    def __init__(self, decoder: UtteranceDecoder) -> None:
        self.model, self.units = decoder.model, decoder.units

    def __call__(self, utterance: Utterance, points: np.ndarray) -> NBest:
        """The drawn n-best list with the decoder's column."""
        if self.model is None or utterance.encoded is None:
            raise ValueError("attention-decoder without the encoder's output")
        nbest: NBest = utterance.nbest
        spelled = [self.units.encode(" ".join(words)) for words in nbest.words]
        frames = torch.tensor([len(utterance.encoded)])
        scores: List[float] = []
        for first in range(0, len(spelled), SEQUENCES_AT_ONCE):
            part = spelled[first : first + SEQUENCES_AT_ONCE]
            scores += score_sequences(self.model, utterance.encoded[None], frames, [part])[0]
        return nbest.with_column(np.array(scores))


class TransducerGreedy:
    """Best unit or blank of each frame by the transducer."""

    def __init__(self, decoder: UtteranceDecoder) -> None:
        self.decoder = decoder

    def __call__(self, utterance: Utterance, points: np.ndarray) -> NBest:
        """The one hypothesis; `points` don't matter."""
        return NBest([_transducer_words(self.decoder, utterance)], np.zeros((1, len(COLUMNS))), "transducer")


class ModifiedBeamSearch:
    """Unit sequences by the transducer; the n-gram scores their words."""

    def __init__(self, decoder: UtteranceDecoder) -> None:
        self.decoder, self.score = decoder, make_ngram_scorer(decoder.files[LM])

    def __call__(self, utterance: Utterance, points: np.ndarray) -> NBest:
        """The final hypotheses as n-best list."""
        transducer, encoded = transducer_input(self.decoder, utterance)
        found = modified_beam_search(transducer, encoded, self.decoder.config.transducer_beam)
        words = [self.decoder.units.words(units) for units in found]
        scores, counts = np.array(list(found.values())), np.array([len(each) for each in words])
        return NBest(words, np.column_stack([scores, self.score(words), counts]), "transducer")


class FastBeamSearch:
    """Lattice of the transducer's paths in LG."""

    def __init__(self, decoder: UtteranceDecoder) -> None:
        from asrkit.graph.compile import make_graph

        graph = make_graph(decoder.files[WORDS].parent, decoder.files[LM], GraphConfig(), kind="LG")
        self.decoder, self.fst, self.symbols = decoder, graph.fst, graph.words
        self.fst.lm_scores = self.fst.scores.clone()
        self.fst.scores = decoder.config.search_lm_scale * self.fst.lm_scores

    def __call__(self, utterance: Utterance, points: np.ndarray) -> NBest:
        """The best paths at `points`; if none is final, the result of transducer-greedy.

        CTC's greedy transcript isn't used, because CTC may be untrained (train.ctc_weight 0).
        """
        from asrkit.decode.paths import list_hypotheses

        transducer, encoded = transducer_input(self.decoder, utterance)
        lattice = fast_beam_search(transducer, encoded, self.fst, self.decoder.config)
        if lattice is None:
            return _greedy_nbest(_transducer_words(self.decoder, utterance))
        return list_hypotheses(lattice, self.symbols, "lattice", points)


def _transducer_words(decoder: UtteranceDecoder, utterance: Utterance) -> List[str]:
    """Words of the transducer's greedy search."""
    transducer, encoded = transducer_input(decoder, utterance)
    return decoder.units.words(greedy_transducer(transducer, encoded[None], [len(encoded)])[0])


def transducer_input(decoder: UtteranceDecoder, utterance: Utterance) -> Tuple[Transducer, Tensor]:
    """The model's transducer and the encoder's output (frame, dim)."""
    if decoder.model is None or decoder.model.transducer is None or utterance.encoded is None:
        raise ValueError("a search with a transducer, without one or without the encoder's output")
    return decoder.model.transducer, utterance.encoded


class NbestOracle:
    """The drawn n-best list as it is; the references choose from it."""

    def __init__(self, decoder: UtteranceDecoder) -> None:
        pass

    def __call__(self, utterance: Utterance, points: np.ndarray) -> NBest:
        """The drawn n-best list."""
        nbest: NBest = utterance.nbest
        return nbest


CLASSES: Dict[str, Callable[[UtteranceDecoder], Callable[[Utterance, np.ndarray], Optional[NBest]]]] = {
    "greedy": Greedy,
    "prefix-beam-search": PrefixBeamSearch,
    "ctc-decoding": CtcDecoding,
    "1best": OneBest,
    "nbest-rescoring": functools.partial(LmRescoring, (LARGER_LM,)),
    "whole-lattice-rescoring": WholeLatticeRescoring,
    "attention-decoder": AttentionDecoder,
    "neural-rescoring": functools.partial(LmRescoring, (NEURAL_LM,)),
    "ngram-and-neural-rescoring": functools.partial(LmRescoring, (LARGER_LM, NEURAL_LM)),
    "two-neural-rescoring": functools.partial(LmRescoring, (NEURAL_LM, SECOND_NEURAL_LM)),
    "transducer-greedy": TransducerGreedy,
    "modified-beam-search": ModifiedBeamSearch,
    "fast-beam-search": FastBeamSearch,
    "nbest-oracle": NbestOracle,
}

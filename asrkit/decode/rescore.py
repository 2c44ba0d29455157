"""Rescoring: another model's scores as one more column of an n-best list, or laid on a whole lattice."""

import math
from pathlib import Path
from typing import List, Optional, Sequence

import k2
import numpy as np
import torch
from torch import Tensor

from asrkit.decode.paths import words_outside
from asrkit.graph.compile import make_acceptor
from asrkit.graph.grammar import make_grammar
from asrkit.lm.kenlm import load_kenlm
from asrkit.lm.neural import SentenceScorer
from asrkit.model.acoustic import AcousticModel, score_sequences
from asrkit.text.units import Units

MOST_ARCS = 8_000  # of a lattice that a grammar is laid on: a poor model's 140,000 became over 100 million
SEQUENCES_AT_ONCE = 16  # through the attention decoder: what it remembers of 40 s takes about 200 MB


def make_ngram_scorer(arpa: Path) -> SentenceScorer:
    """Score sentences by an ARPA model of order 2 or more."""
    model = load_kenlm(arpa)

    def score(sentences: Sequence[Sequence[str]]) -> np.ndarray:
        return math.log(10) * np.array([model.score(" ".join(words)) for words in sentences])

    return score


def make_attention_scorer(model: AcousticModel, units: Units, encoded: Tensor) -> SentenceScorer:
    """Score sentences of one utterance by the attention decoder, given the encoder's output (frame, dim).

    A word is spelled by its most probable pronunciation, as in the decoder's training.
    """

    def score(sentences: Sequence[Sequence[str]]) -> np.ndarray:
        spelled = [units.encode(" ".join(words)) for words in sentences]
        frames = torch.tensor([len(encoded)])
        scores: List[float] = []
        for first in range(0, len(spelled), SEQUENCES_AT_ONCE):
            part = spelled[first : first + SEQUENCES_AT_ONCE]
            scores += score_sequences(model, encoded[None], frames, [part])[0]
        return np.array(scores)

    return score


def make_rescoring_grammar(arpa: Path, words_file: Path, unknown_word: Optional[str]) -> k2.Fsa:
    """G of an ARPA model as an acceptor whose back-off arcs are epsilons, with lm_scores."""
    grammar = make_acceptor(make_grammar(arpa, words_file, unknown_word))
    grammar.lm_scores = grammar.scores.clone()
    return grammar


def prune_lattice(lattice: k2.Fsa, most_arcs: int) -> k2.Fsa:
    """The lattice with at most `most_arcs` arcs: those whose best path is nearest to the best of all."""
    if lattice.num_arcs <= most_arcs:
        return lattice
    # (arc,) the best path through each, less the best of all
    differences = k2.Fsa.from_fsas([lattice]).get_arc_post(use_double_scores=True, log_semiring=False)
    nearest = differences.argsort(descending=True, stable=True)[:most_arcs].sort().values
    pruned = k2.Fsa(lattice.arcs.values()[nearest])
    for name, values in lattice.named_tensor_attr(include_scores=False):
        setattr(pruned, name, values[nearest])
    return k2.connect(pruned)


def rescore_lattice(lattice: k2.Fsa, grammar: k2.Fsa) -> k2.Fsa:
    """The lattice with the scores of `grammar` in lm_scores instead of its own.

    An acceptor of words; empty where the grammar allows none of its word sequences. Of a lattice with more
    than MOST_ARCS those on its best paths are taken.
    """
    words = prune_lattice(words_outside(lattice)[0], MOST_ARCS)
    del words.lm_scores
    rescored = k2.top_sort(k2.connect(k2.intersect(words, grammar, treat_epsilons_specially=True)))
    return k2.Fsa.from_fsas([rescored])

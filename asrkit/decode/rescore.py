"""Rescoring: another model's scores as one more column of an n-best list, or laid on a whole lattice."""

import math
from pathlib import Path
from typing import Callable, Sequence

import k2
import numpy as np

from asrkit.decode.paths import words_outside
from asrkit.graph.compile import make_acceptor
from asrkit.graph.grammar import make_grammar
from asrkit.lm.perplexity import load_kenlm

# Natural log-probabilities (hypothesis,) of word sequences, given the utterance's id: an n-gram or neural
# language model needs the words alone, an attention decoder looks up what the encoder made of the utterance.
SequenceScorer = Callable[[str, Sequence[Sequence[str]]], np.ndarray]


def make_ngram_scorer(arpa: Path) -> SequenceScorer:
    """Score sentences, with their ends, by an ARPA model of order 2 or more."""
    model = load_kenlm(arpa)

    def score(_: str, hypotheses: Sequence[Sequence[str]]) -> np.ndarray:
        return math.log(10) * np.array([model.score(" ".join(words)) for words in hypotheses])

    return score


def make_rescoring_grammar(arpa: Path, words_file: Path) -> k2.Fsa:
    """G of an ARPA model as an acceptor whose back-off arcs are epsilons, with lm_scores."""
    grammar = make_acceptor(make_grammar(arpa, words_file))
    grammar.lm_scores = grammar.scores.clone()
    return grammar


def rescore_lattice(lattice: k2.Fsa, grammar: k2.Fsa) -> k2.Fsa:
    """The lattice with the scores of `grammar` in lm_scores instead of its own.

    An acceptor of words; empty where the grammar allows none of its word sequences.
    """
    words = words_outside(lattice)[0]
    del words.lm_scores
    rescored = k2.top_sort(k2.connect(k2.intersect(words, grammar, treat_epsilons_specially=True)))
    return k2.Fsa.from_fsas([rescored])

"""LG: lexicon and grammar composed, without epsilons, with scores as early on each path as possible.

From each state of the grammar leads a tree of the words that follow it. With the lexicon

    NO  N OW        NOT  N AA T        NOTE  N OW T

and a grammar with one state 0 and log scores of NO -0.5, NOT -0.6 and NOTE -0.7, LG is

    0 -N-> 1              -0.5   beginning of several words: they share it, with the best of their scores
    1 -OW:NO-> 0           0.0   the rest of NO's score
    1 -AA-> 2 -T:NOT-> 0  -0.1   only NOT begins with N AA, and only NOTE goes on from N OW: from there on,
    1 -OW-> 3 -T:NOTE-> 0 -0.2   their states are shared with other histories that lead to the same one

If 0 is a history that backs off, words that end in it also lead to each history below it.
"""

import dataclasses
from typing import List, Tuple

import numpy as np

from asrkit.graph.arcs import Arcs, count_up, join_arcs, make_arcs, refuse_overflow
from asrkit.graph.grammar import NO_STATE, Grammar
from asrkit.graph.lexicon import LexiconTree
from asrkit.lm.model import pair_keys

NO_DEPTH = -1


@dataclasses.dataclass(frozen=True)
class PendingWords:
    """Word arcs of the grammar during lexicon expansion, one for each pronunciation."""

    state: np.ndarray  # (word,) int32, reached by the units expanded so far, from the arc's source
    spelling: np.ndarray  # (word,) int32, row of the lexicon tree
    target: np.ndarray  # (word,) int32, the arc's target
    score: np.ndarray  # (word,) float32, what is left of the word's score after `state`

    def __getitem__(self, chosen: np.ndarray) -> "PendingWords":
        return PendingWords(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))


def compose_words(tree: LexiconTree, grammar: Grammar) -> Tuple[Arcs, np.ndarray]:
    """Arcs of LG, sorted by source, and its final scores (state,); state 0 is the start.

    These are the paths that composition, determinisation, epsilon removal and weight pushing make (Mohri,
    Pereira and Riley 2008, Speech Recognition with Weighted Finite-State Transducers), constructed directly
    in a fraction of the time.
    """
    words, final = _list_words(tree, grammar)
    beginnings, words, certain = _share_beginnings(tree, words, grammar.states)
    states = grammar.states + sum(len(arcs) for arcs in beginnings)
    alone = certain != NO_DEPTH
    ends = _end_words(tree, grammar, words[~alone])
    tails, states = _share_tails(tree, grammar, words[alone], certain[alone], states)
    del words
    arcs = join_arcs([*beginnings, *ends, *tails])
    return arcs, np.pad(final, (0, states - len(final)), constant_values=-np.inf)


def _list_words(tree: LexiconTree, grammar: Grammar) -> Tuple[PendingWords, np.ndarray]:
    """All words by source, then in the tree's order, and the grammar's final scores.

    The start gets the words and final scores of all histories that it backs off to: no word leads to it.
    """
    final = grammar.final.copy()
    columns = [(grammar.source, grammar.target, grammar.word, grammar.score)]
    state, passed = int(grammar.backoff[0]), grammar.backoff_score[0]
    while state != NO_STATE:
        arcs = np.flatnonzero(grammar.source == state)
        start = np.zeros(len(arcs), dtype=np.int32)
        columns.append((start, grammar.target[arcs], grammar.word[arcs], grammar.score[arcs] + passed))
        final[0] = max(final[0], passed + final[state])
        state, passed = int(grammar.backoff[state]), passed + grammar.backoff_score[state]
    source, target, word, score = (np.concatenate(column) for column in zip(*columns))
    counts = np.bincount(tree.word, minlength=int(word.max()) + 1)[word]  # pronunciations
    refuse_overflow("LG", grammar.states, int(counts.sum()))
    by_word = np.argsort(tree.word, kind="stable")
    first = np.searchsorted(tree.word[by_word], word)
    spelling = by_word[np.repeat(first, counts) + count_up(counts)]
    order = np.argsort(pair_keys(np.repeat(source, counts), spelling, len(tree.word)))
    source, target, score = (np.repeat(column, counts)[order] for column in (source, target, score))
    spelling = spelling[order].astype(np.int32)
    return PendingWords(source, spelling, target, score + tree.score[spelling]), final


def _begins(*columns: np.ndarray) -> np.ndarray:
    """True for each row that differs from the row before it."""
    begins = np.ones(len(columns[0]), dtype=bool)
    begins[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return begins


def _share_beginnings(
    tree: LexiconTree, words: PendingWords, states: int
) -> Tuple[List[Arcs], PendingWords, np.ndarray]:
    """Arcs along tree nodes that several words of a state share; new states are numbered from `states`.

    Also gives the words after these arcs, and for each the depth of its first node that no other word of
    its state has (word,), or NO_DEPTH.
    """
    state, score = words.state.copy(), words.score.copy()
    certain = np.full(len(state), NO_DEPTH, dtype=np.int32)
    arcs: List[Arcs] = []
    left = np.arange(len(state), dtype=np.int32)
    for depth in range(tree.nodes.shape[1]):
        left = left[tree.length[words.spelling[left]] > depth + 1]
        if not len(left):
            break
        node = tree.nodes[words.spelling[left], depth]
        begins = _begins(node, state[left])
        first, group = np.flatnonzero(begins), np.cumsum(begins) - 1
        several = np.diff(first, append=len(left)) > 1
        refuse_overflow("LG", states + int(several.sum()))
        certain[left[first[~several]]] = depth
        number = (states - 1 + np.cumsum(several)).astype(np.int32)
        best = np.maximum.reduceat(score[left], first)
        unit = tree.unit[node[first[several]]]
        arcs.append(make_arcs(state[left[first[several]]], number[several], unit, score=best[several]))
        states += len(unit)
        kept = several[group]
        left, group = left[kept], group[kept]
        state[left] = number[group]
        score[left] -= best[group]
    return arcs, PendingWords(state, words.spelling, words.target, score), certain


def _share_tails(
    tree: LexiconTree, grammar: Grammar, words: PendingWords, certain: np.ndarray, states: int
) -> Tuple[List[Arcs], int]:
    """Arcs of words from depth `certain` (word,) on, and the new number of states.

    Words of one spelling and target share the states from there to the target.
    """
    key = pair_keys(words.spelling, words.target, grammar.states)
    order = np.argsort(key)
    begins = _begins(key[order])
    tail = np.empty(len(key), dtype=np.int32)  # of each word
    tail[order] = np.cumsum(begins) - 1
    first = np.flatnonzero(begins)
    earliest = np.minimum.reduceat(certain[order], first) if len(first) else certain
    ends = words[order[first]]  # a word of each tail
    spans = tree.length[ends.spelling] - 1 - earliest  # states of each tail
    states_after = states + int(spans.sum())
    refuse_overflow("LG", states_after)
    base = (states + np.cumsum(spans) - spans - earliest).astype(np.int32)  # base + depth is a tail's state

    unit = tree.unit[tree.nodes[words.spelling, certain]]
    entries = make_arcs(words.state, base[tail] + certain, unit, score=words.score)
    inner = np.repeat(np.arange(len(spans), dtype=np.int32), spans - 1)
    depth = earliest[inner] + count_up(spans - 1).astype(np.int32)
    state, unit = base[inner] + depth, tree.unit[tree.nodes[ends.spelling[inner], depth + 1]]
    within = make_arcs(state, state + 1, unit)
    state = base + tree.length[ends.spelling] - 2
    ends = PendingWords(state, ends.spelling, ends.target, np.zeros(len(state), np.float32))
    return [entries, within, *_end_words(tree, grammar, ends)], states_after


def _end_words(tree: LexiconTree, grammar: Grammar, words: PendingWords) -> List[Arcs]:
    """Arcs with the words' last units, to their targets and to each history that these back off to."""
    arcs: List[Arcs] = []
    while len(words.state):
        spelling, target = words.spelling, words.target
        arcs.append(Arcs(words.state, target, tree.last[spelling], tree.word[spelling], words.score))
        words = words[grammar.backoff[target] != NO_STATE]
        score = words.score + grammar.backoff_score[words.target]
        words = dataclasses.replace(words, target=grammar.backoff[words.target], score=score)
    return arcs

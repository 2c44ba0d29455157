"""LG: lexicon and grammar composed, without epsilons, its scores as early as they can be."""

import dataclasses
from typing import List, Tuple

import numpy as np

from asrkit.graph.arcs import NO_WORD, Arcs, count_up, join_arcs, refuse_overflow
from asrkit.graph.grammar import NO_STATE, Grammar
from asrkit.graph.lexicon import LexiconTree
from asrkit.lm.pairs import pair_keys

NO_DEPTH = -1


@dataclasses.dataclass(frozen=True)
class Words:
    """Arcs of the grammar on their way to be spelled, one for each pronunciation."""

    state: np.ndarray  # (word,) int32, that the spelling has got to, from the arc's source on
    spelling: np.ndarray  # (word,) int32, row of the tree
    target: np.ndarray  # (word,) int32, the history that the word makes
    score: np.ndarray  # (word,) float32, what the way to the state has left of the word's

    def __getitem__(self, chosen: np.ndarray) -> "Words":
        return Words(self.state[chosen], self.spelling[chosen], self.target[chosen], self.score[chosen])


def compose_words(tree: LexiconTree, grammar: Grammar) -> Tuple[Arcs, np.ndarray]:
    """Arcs sorted by source, and the score of ending in each state (state,); state 0 is the start.

    The paths that composition, determinization, removal of epsilons and pushing of scores would make (Mohri,
    Pereira and Riley 2008, Speech Recognition with Weighted Finite-State Transducers), but written down at
    once, in a fraction of the time. From each state of the grammar leads the tree of the words that follow
    it. What is left of a word once it is certain is shared by all histories that it takes to the same one.
    A word's last arc has the word, and leads to the history that it makes and to all those that this one
    backs off to.
    """
    words, final = _spell(tree, grammar)
    beginnings, words, certain = _share_beginnings(tree, words, grammar.states)
    states = grammar.states + sum(len(arcs) for arcs in beginnings)
    alone = certain != NO_DEPTH
    ends = _end_words(tree, grammar, words[~alone])
    tails, states = _share_tails(tree, grammar, words[alone], certain[alone], states)
    del words
    parts = [*beginnings, *ends, *tails]
    refuse_overflow("L composed with G", states, sum(map(len, parts)))
    return join_arcs(parts), np.pad(final, (0, states - len(final)), constant_values=-np.inf)


def _spell(tree: LexiconTree, grammar: Grammar) -> Tuple[Words, np.ndarray]:
    """Words by source and then in the tree's order; and the final scores of the grammar's states.

    The start, which no word's last arc leads to, has those of all histories that it backs off to, too.
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
    counts = np.bincount(tree.word, minlength=int(word.max()) + 1)[word]  # of pronunciations
    refuse_overflow("L composed with G", grammar.states, int(counts.sum()))
    by_word = np.argsort(tree.word, kind="stable")
    first = np.searchsorted(tree.word[by_word], word)
    spelling = by_word[np.repeat(first, counts) + count_up(counts)]
    order = np.argsort(pair_keys(np.repeat(source, counts), spelling, len(tree.word)))
    source, target, score = (np.repeat(column, counts)[order] for column in (source, target, score))
    spelling = spelling[order].astype(np.int32)
    return Words(source, spelling, target, score + tree.score[spelling]), final


def _begins(*columns: np.ndarray) -> np.ndarray:
    """True for each row that differs from the one before it."""
    begins = np.ones(len(columns[0]), dtype=bool)
    begins[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return begins


def _share_beginnings(tree: LexiconTree, words: Words, states: int) -> Tuple[List[Arcs], Words, np.ndarray]:
    """Arcs to the nodes below a state that are more than one word's; new states are numbered from `states`.

    Gives besides the words where they have got to, and the depth (word,) of the first node that is the
    word's alone, NO_DEPTH if there is none.
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
        refuse_overflow("L composed with G", states + int(several.sum()), 0)
        certain[left[first[~several]]] = depth
        number = (states - 1 + np.cumsum(several)).astype(np.int32)
        best = np.maximum.reduceat(score[left], first)
        leader = left[first[several]]
        nothing = np.full(len(leader), NO_WORD, dtype=np.int32)
        unit = tree.unit[node[first[several]]]
        arcs.append(Arcs(state[leader], number[several], unit, nothing, best[several]))
        states += len(leader)
        kept = several[group]
        left, group = left[kept], group[kept]
        state[left] = number[group]
        score[left] -= best[group]
    return arcs, Words(state, words.spelling, words.target, score), certain


def _share_tails(
    tree: LexiconTree, grammar: Grammar, words: Words, certain: np.ndarray, states: int
) -> Tuple[List[Arcs], int]:
    """Arcs of words from their nodes at depth `certain` (word,), theirs alone, on; and the number of states.

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
    refuse_overflow("L composed with G", states_after, 0)
    base = (states + np.cumsum(spans) - spans - earliest).astype(np.int32)  # base + depth is a tail's state

    unit = tree.unit[tree.nodes[words.spelling, certain]]
    entries = Arcs(words.state, base[tail] + certain, unit, np.full_like(unit, NO_WORD), words.score)
    inner = np.repeat(np.arange(len(spans), dtype=np.int32), spans - 1)
    depth = earliest[inner] + count_up(spans - 1).astype(np.int32)
    state, unit = base[inner] + depth, tree.unit[tree.nodes[ends.spelling[inner], depth + 1]]
    within = Arcs(state, state + 1, unit, np.full_like(unit, NO_WORD), np.zeros(len(unit), np.float32))
    state = base + tree.length[ends.spelling] - 2
    ends = Words(state, ends.spelling, ends.target, np.zeros(len(state), np.float32))
    return [entries, within, *_end_words(tree, grammar, ends)], states_after


def _end_words(tree: LexiconTree, grammar: Grammar, words: Words) -> List[Arcs]:
    """Arcs of the words' last units, to their targets and to each history that these back off to."""
    arcs: List[Arcs] = []
    while len(words.state):
        spelling, target = words.spelling, words.target
        arcs.append(Arcs(words.state, target, tree.last[spelling], tree.word[spelling], words.score))
        words = words[grammar.backoff[target] != NO_STATE]
        target = words.target
        words = Words(
            words.state, words.spelling, grammar.backoff[target], words.score + grammar.backoff_score[target]
        )
    return arcs

"""A lattice as a small word graph: words are nodes, edges lead to the words that follow them.

arcs of a lattice, frame by frame          of their paths     nodes: word, last frame, posterior
frame 1    2      3      4
  GO ->  (-) -> (-) -> TEN                  0.6                GO  1.3 0.9    TEN 4.0 0.6
  (-) -> GO  -> (-) -> TWO                  0.3                NO  2.0 0.1    TWO 4.0 0.4
  (-) -> NO  -> (-) -> TWO                  0.1

GO at frames 1 and 2 is one node, at their mean (0.6 * 1 + 0.3 * 2) / 0.9 = 1.3. An edge's posterior is that
of the two words one after the other: GO to TEN 0.6, GO to TWO 0.3, NO to TWO 0.1.
"""

from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from asrkit.score.alignment import align

LEAST_POSTERIOR = 0.01  # of a node; the others are left out
LEAST_EDGE = 0.003  # less, so that hardly a node is without edges
MOST_NODES = 40  # a drawing of more can't be read
LEAST_ARC = 1e-4  # posterior of an arc that is looked at
SPREAD = 8  # frames between the first and the last arc of a node


class Node(NamedTuple):
    """A word; `place` is the frame of its arcs, or its place in an n-best list's best hypothesis."""

    word: str
    place: float
    posterior: float


class WordGraph(NamedTuple):
    """The first node is the start, the last one the end; both are without a word."""

    nodes: List[Node]
    edges: List[Tuple[int, int, float]]  # from, to, posterior


def of_lattice(
    arcs: np.ndarray, words: np.ndarray, scores: np.ndarray, frames: np.ndarray, symbols: Sequence[str]
) -> WordGraph:
    """The word graph of a lattice whose states are numbered from the start, 0, to the end.

    `arcs` (arc, [from, to]); `words` (arc,) are ids of `symbols`, 0 for none; `scores` (arc,) are
    log-probabilities up to a constant per path; `frames` (arc,) are those that the arcs consume.
    """
    source, target = arcs.T
    order = np.argsort(frames, kind="stable")
    steps = np.split(order, np.flatnonzero(np.diff(frames[order])) + 1)
    ahead = np.full(int(arcs.max()) + 1, -np.inf)  # (state,) log-probability of all ways to the end
    ahead[-1] = 0.0
    for step in reversed(steps):
        np.logaddexp.at(ahead, source[step], scores[step] + ahead[target[step]])
    with np.errstate(invalid="ignore"):
        chances = np.exp(scores + ahead[target] - ahead[source])  # of an arc, once its source is reached
    chances = np.nan_to_num(chances)
    reached = np.zeros((len(ahead), 1))
    reached[0] = 1.0
    for step in steps:
        np.add.at(reached, target[step], reached[source[step]] * chances[step, None])
    nodes, owners = _gather(words, frames, reached[source, 0] * chances, symbols)

    last = np.zeros((len(ahead), len(nodes) + 1))  # (state, node) probability of the state after the node
    last[0, 0] = 1.0
    follows = np.zeros((len(nodes) + 1, len(nodes) + 1))
    for step in steps:
        moved = last[source[step]] * chances[step, None]
        owned = owners[step] >= 0
        np.add.at(last, target[step[~owned]], moved[~owned])
        np.add.at(follows.T, owners[step[owned]], moved[owned])
        np.add.at(last, (target[step[owned]], owners[step[owned]]), moved[owned].sum(1))
    follows[:, len(nodes) - 1] = last[-1]  # the end
    return WordGraph(nodes, _edges(np.triu(follows[:-1, :-1], 1)))  # none back in time, between wide nodes


def _gather(
    words: np.ndarray, frames: np.ndarray, posteriors: np.ndarray, symbols: Sequence[str]
) -> Tuple[List[Node], np.ndarray]:
    """The nodes in order of time, and the node of each arc: -1 without a word, len(nodes) if left out.

    Arcs of one word near each other are one node, as long as their sum is at most 1: a path has each node
    at most once.
    """
    groups: List[List[int]] = []
    total = 0.0
    for arc in np.lexsort((frames, words)).tolist():
        if words[arc] > 0 and posteriors[arc] >= LEAST_ARC:
            first = groups[-1][0] if groups else arc
            near = words[arc] == words[first] and frames[arc] - frames[first] <= SPREAD
            total += posteriors[arc]
            if not groups or not near or total > 1.001:
                groups.append([])
                total = posteriors[arc]
            groups[-1].append(arc)
    sums = [float(posteriors[group].sum()) for group in groups]
    kept = sorted(range(len(groups)), key=lambda index: -sums[index])[:MOST_NODES]
    places = {
        index: float(np.average(frames[groups[index]], weights=posteriors[groups[index]]))
        for index in kept
        if sums[index] >= LEAST_POSTERIOR
    }
    chosen = sorted(places, key=lambda index: places[index])
    owners = np.where(words > 0, len(chosen) + 2, -1)
    for place, index in enumerate(chosen):
        owners[groups[index]] = place + 1
    nodes = [Node(symbols[words[groups[index][0]]], places[index], min(1.0, sums[index])) for index in chosen]
    return [Node("", float(frames.min()) - 1, 1.0), *nodes, Node("", float(frames.max()), 1.0)], owners


def of_hypotheses(hypotheses: Sequence[Tuple[Sequence[str], float]]) -> WordGraph:
    """The word graph of an n-best list with probabilities, the best first: words at the places to which an
    alignment with the best one brings them.
    """
    ends = (0.0, float(len(hypotheses[0][0]) + 1) if hypotheses else 1.0)
    sums: Dict[Tuple[float, str], float] = {}
    follows: Dict[Tuple[Tuple[float, str], Tuple[float, str]], float] = {}
    for words, probability in hypotheses:
        path, place = [(ends[0], "")], 0.0
        for best, word in align(hypotheses[0][0], words):
            place = float(int(place) + 1) if best else place + 0.01  # an inserted word: between two others
            if word:
                path.append((place, word))
        path.append((ends[1], ""))
        for key in path:
            sums[key] = sums.get(key, 0.0) + probability
        for pair in zip(path, path[1:]):
            follows[pair] = follows.get(pair, 0.0) + probability
    best_first = sorted(sums, key=lambda key: (key[1] != "", -sums[key]))[: MOST_NODES + 2]
    kept = sorted(key for key in best_first if sums[key] >= LEAST_POSTERIOR)
    matrix = np.array([[follows.get((start, end), 0.0) for end in kept] for start in kept])
    return WordGraph([Node(word, place, min(1.0, sums[place, word])) for place, word in kept], _edges(matrix))


def _edges(follows: np.ndarray) -> List[Tuple[int, int, float]]:
    found = np.argwhere(follows >= LEAST_EDGE).tolist()
    return [(start, end, min(1.0, float(follows[start, end]))) for start, end in found]

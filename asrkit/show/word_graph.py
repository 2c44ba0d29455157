"""The hypotheses of an n-best list as one small word graph, with a layout from left to right.

0.6  GO TO TEN                       TO (0.9)
0.3  GO TO TWO      o --GO (0.9)--> o ------> o --TEN (0.6)--> o
0.1  NO TWO          \\                        \\--TWO (0.3)--> o
                      \\--NO (0.1)--> o --------TWO (0.1)----> o     (all three ends are one state)
"""

import dataclasses
from typing import Dict, List, Sequence, Tuple

MAX_ARCS = 60  # a drawing of more can't be read
SWEEPS = 8  # of the ordering within layers; the crossings hardly change after four

Weighted = Tuple[Sequence[str], float]  # words and their probability
Point = Tuple[float, float]  # layer, place in the layer


@dataclasses.dataclass(frozen=True)
class Arc:
    """A word between two states; `posterior` sums the probabilities of the hypotheses through it."""

    start: int
    end: int
    word: str  # "" for the end of a hypothesis that is the beginning of another
    posterior: float


@dataclasses.dataclass(frozen=True)
class WordGraph:
    """The minimal acyclic automaton of some hypotheses: state 0 is the start, the last one the end."""

    arcs: List[Arc]
    states: int
    hypotheses: int  # so many of the list are in it


def largest_graph(hypotheses: Sequence[Weighted], max_arcs: int = MAX_ARCS) -> WordGraph:
    """The word graph of as many hypotheses, best first, as give at most `max_arcs` arcs; perhaps of none."""
    best = WordGraph([], 0, 0)
    for number in range(1, len(hypotheses) + 1):
        if len(hypotheses[number - 1][0]) > max_arcs:
            break
        graph = make_graph(hypotheses[:number])
        if len(graph.arcs) > max_arcs:
            break
        best = graph
    return best


def make_graph(hypotheses: Sequence[Weighted]) -> WordGraph:
    """The word graph of different hypotheses: their prefix tree with equal suffixes joined."""
    tree: Dict[str, dict] = {}  # type: ignore[type-arg]
    for words, _ in hypotheses:
        node = tree
        for word in (*words, ""):
            node = node.setdefault(word, {})
    ends: Dict[Tuple[Tuple[str, int], ...], int] = {}  # arcs of a state: its number
    followers: List[Dict[str, int]] = []

    def join(node: Dict[str, dict]) -> int:  # type: ignore[type-arg]
        if list(node) == [""]:  # what ends here is the end itself
            node = {}
        arcs = tuple(sorted((word, join(child)) for word, child in node.items()))
        if arcs not in ends:
            ends[arcs] = len(followers)
            followers.append(dict(arcs))
        return ends[arcs]

    root = join(tree)
    posteriors: Dict[Tuple[int, str], float] = {}
    for words, probability in hypotheses:
        state = root
        for word in (*words, ""):
            if word in followers[state]:
                posteriors[state, word] = posteriors.get((state, word), 0.0) + probability
                state = followers[state][word]
    last = len(followers) - 1  # states are numbered from the end
    arcs = [
        Arc(last - state, last - followers[state][word], word, min(1.0, posterior))
        for (state, word), posterior in posteriors.items()
    ]
    return WordGraph(
        sorted(arcs, key=lambda arc: (arc.start, arc.end, arc.word)), len(followers), len(hypotheses)
    )


def lay_out(graph: WordGraph) -> Tuple[List[Point], List[List[Point]]]:
    """Points of the states, and of each arc those between its states, the first of which bears its word.

    States are in even layers, by the longest path to them; an arc has a point in each layer between, so
    that arcs don't run across words or states. The order within a layer is by barycentres (Sugiyama et
    al. 1981, "Methods for visual understanding of hierarchical system structures").
    """
    layer = [0] * graph.states
    for arc in graph.arcs:  # in the order of their first states, which is topological
        layer[arc.end] = max(layer[arc.end], layer[arc.start] + 2)
    nodes = list(layer)  # the layer of each state, then of each point of an arc
    links: List[Tuple[int, int]] = []
    bends: List[List[int]] = []
    for arc in graph.arcs:
        depths = range(layer[arc.start] + 1, layer[arc.end])
        bends.append(list(range(len(nodes), len(nodes) + len(depths))))
        nodes += depths
        chain = [arc.start, *bends[-1], arc.end]
        links += zip(chain, chain[1:])
    layers: List[List[int]] = [[] for _ in range(max(layer, default=0) + 1)]
    for index, depth in enumerate(nodes):
        layers[depth].append(index)
    place: Dict[int, float] = {}
    for members in layers:
        place.update(_centred(members))
    neighbours: Dict[int, List[List[int]]] = {index: [[], []] for index in range(len(nodes))}
    for start, end in links:
        neighbours[end][0].append(start)
        neighbours[start][1].append(end)
    for sweep in range(SWEEPS):
        side = sweep % 2
        for members in layers[:: -1 if side else 1]:
            means = {
                index: sum(place[other] for other in neighbours[index][side]) / len(neighbours[index][side])
                if neighbours[index][side]
                else place[index]
                for index in members
            }
            members.sort(key=lambda index: means[index])
            place.update(_centred(members))
    points = [(float(depth), place[index]) for index, depth in enumerate(nodes)]
    return points[: graph.states], [[points[index] for index in each] for each in bends]


def _centred(members: Sequence[int]) -> Dict[int, float]:
    return {index: position - (len(members) - 1) / 2 for position, index in enumerate(members)}

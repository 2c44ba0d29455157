"""Word graphs of lattices and n-best lists."""

import numpy as np
import pytest

from asrkit.show.word_graph import MOST_NODES, Node, WordGraph, of_hypotheses, of_lattice

SYMBOLS = ["<eps>", "GO", "NO", "TEN", "TWO"]
# From, to, word, frame, probability of the arc: three paths, 0.6, 0.3 and 0.1
ARCS = [
    *((0, 1, 1, 1, 0.6), (0, 2, 0, 1, 0.4)),
    *((1, 3, 0, 2, 1.0), (2, 4, 1, 2, 0.75), (2, 4, 2, 2, 0.25)),
    *((3, 5, 0, 3, 1.0), (4, 6, 0, 3, 1.0)),
    *((5, 7, 3, 4, 1.0), (6, 7, 4, 4, 1.0), (7, 8, -1, 5, 1.0)),
]


def lattice_graph(arcs: list, symbols: list = SYMBOLS) -> WordGraph:  # type: ignore[type-arg]
    table = np.array(arcs)
    ids = table.astype(int)
    return of_lattice(ids[:, :2], ids[:, 2], np.log(table[:, 4]) - 3.0, ids[:, 3], symbols)


def test_a_lattice_as_words_with_posteriors_and_times() -> None:
    graph = lattice_graph(ARCS)
    assert [node.word for node in graph.nodes] == ["", "GO", "NO", "TEN", "TWO", ""]
    assert [node.place for node in graph.nodes] == pytest.approx([0, 4 / 3, 2, 4, 4, 5])
    assert [node.posterior for node in graph.nodes] == pytest.approx([1, 0.9, 0.1, 0.6, 0.4, 1])
    follows = [(0, 1, 0.9), (0, 2, 0.1), (1, 3, 0.6), (1, 4, 0.3), (2, 4, 0.1), (3, 5, 0.6), (4, 5, 0.4)]
    assert graph.edges == [(start, end, pytest.approx(posterior)) for start, end, posterior in follows]


def test_a_word_said_twice_is_two_nodes() -> None:
    graph = lattice_graph([(0, 1, 1, 0, 1.0), (1, 2, 1, 1, 1.0), (2, 3, -1, 2, 1.0)])
    assert [node[:2] for node in graph.nodes] == [("", -1.0), ("GO", 0.0), ("GO", 1.0), ("", 2.0)]
    assert [edge[:2] for edge in graph.edges] == [(0, 1), (1, 2), (2, 3)]


def test_only_the_most_probable_words_of_many() -> None:
    many = [f"W{at}" for at in range(60)]
    shares = [2.0] * 10 + [1.0] * 45 + [0.001] * 5
    arcs = [(0, 1, at + 1, 0, share / sum(shares)) for at, share in enumerate(shares)]
    graph = lattice_graph([*arcs, (1, 2, -1, 1, 1.0)], ["<eps>", *many])
    assert len(graph.nodes) == MOST_NODES + 2
    assert {node.word for node in graph.nodes} > set(many[:10])
    assert not {node.word for node in graph.nodes} & set(many[55:])


def test_hypotheses_are_aligned_with_the_best() -> None:
    texts = {"GO TO TEN": 0.6, "GO TO TWO": 0.3, "NO TWO TWO": 0.1}
    graph = of_hypotheses([(text.split(), probability) for text, probability in texts.items()])
    assert [(node.word, node.place) for node in graph.nodes] == [
        *(("", 0.0), ("GO", 1.0), ("NO", 1.0), ("TO", 2.0), ("TWO", 2.0)),
        *(("TEN", 3.0), ("TWO", 3.0), ("", 4.0)),
    ]
    edges = {edge[:2]: pytest.approx(edge[2]) for edge in graph.edges}
    assert edges[1, 3] == 0.9 and edges[3, 6] == 0.3 and edges[4, 6] == 0.1
    assert of_hypotheses([([], 1.0)]).nodes == [Node("", 0.0, 1.0), Node("", 1.0, 1.0)]

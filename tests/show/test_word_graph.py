"""Word graphs of n-best lists."""

import itertools

import pytest

from asrkit.show.word_graph import Arc, largest_graph, lay_out, make_graph

LIST = [(["GO", "TO", "TEN"], 0.6), (["GO", "TO", "TWO"], 0.3), (["NO", "TWO"], 0.1)]


def test_prefixes_and_suffixes_are_shared_and_probabilities_added() -> None:
    graph = make_graph(LIST)
    by_word = {(arc.start, arc.word): (arc.end, pytest.approx(arc.posterior)) for arc in graph.arcs}
    end = graph.states - 1
    after_go, after_no = by_word[0, "GO"][0], by_word[0, "NO"][0]
    after_to = by_word[after_go, "TO"][0]
    assert graph.states == 5
    assert by_word == {
        (0, "GO"): (after_go, 0.9),
        (0, "NO"): (after_no, 0.1),
        (after_go, "TO"): (after_to, 0.9),
        (after_to, "TEN"): (end, 0.6),
        (after_to, "TWO"): (end, 0.3),
        (after_no, "TWO"): (end, 0.1),
    }


def test_equal_suffixes_are_one() -> None:
    graph = make_graph([(["A", "X", "Y"], 0.5), (["B", "X", "Y"], 0.5)])
    assert [(arc.start, arc.end, arc.word) for arc in graph.arcs] == [
        *((0, 1, "A"), (0, 1, "B"), (1, 2, "X"), (2, 3, "Y"))
    ]
    assert [arc.posterior for arc in graph.arcs] == [0.5, 0.5, 1.0, 1.0]


def test_a_hypothesis_that_begins_another_has_an_arc_to_the_end() -> None:
    assert make_graph([(["GO"], 0.5), (["GO", "ON"], 0.5)]).arcs == [
        *(Arc(0, 1, "GO", 1.0), Arc(1, 2, "", 0.5), Arc(1, 2, "ON", 0.5))
    ]


def test_as_many_hypotheses_as_fit() -> None:
    many = [([first, second], 0.01) for first, second in itertools.product("ABCDEFGH", "STUVWXYZ")]
    assert largest_graph(many).hypotheses == 64  # all pairs are two steps of eight arcs
    single = [(list(words), 0.1) for words in ("AB", "CD", "EF", "GH")]
    graph = largest_graph(single, max_arcs=5)
    assert (graph.hypotheses, len(graph.arcs)) == (2, 4)
    assert largest_graph([(["A"] * 5000, 1.0)]).hypotheses == 0
    assert largest_graph([]).arcs == []


def test_layout_runs_from_left_to_right_and_nothing_lies_on_another() -> None:
    graph = make_graph([*LIST, (["GO", "TO", "TEN", "AND", "ON"], 0.05), ([], 0.01)])
    states, bends = lay_out(graph)
    for arc, points in zip(graph.arcs, bends):
        layers = [states[arc.start][0], *(layer for layer, _ in points), states[arc.end][0]]
        assert layers == list(range(int(layers[0]), int(layers[-1]) + 1))
    places = [*states, *(point for points in bends for point in points)]
    assert len(set(places)) == len(places)

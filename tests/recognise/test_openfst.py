"""Graphs in OpenFst's format: read back as they were, refused if damaged, and read by OpenFst itself."""

from pathlib import Path
from typing import List, Tuple

import numpy as np
import pytest

from asrkit.errors import UserError
from asrkit.recognise.openfst import read_graph, write_graph, write_rules

# 0 -token 1, word 1-> 1 -token 2, no word-> 1; 1 is final; 2 is the final state
ARCS = [(0, 1, 1, -0.5), (1, 1, 2, -1.25), (1, 2, -1, -2.0)]
WORDS = [1, 0, -1]


def table(arcs: List[Tuple[int, int, int, float]]) -> np.ndarray:
    scores = np.array([score for *_, score in arcs], dtype=np.float32)
    return np.column_stack([np.array([row[:3] for row in arcs], dtype=np.int32), scores.view(np.int32)])


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    write_graph(tmp_path / "HLG.fst", table(ARCS), np.array(WORDS, dtype=np.int32))
    return tmp_path / "HLG.fst"


def test_a_graph_is_read_back_as_it_was(graph: Path) -> None:
    arcs, words = read_graph(graph)
    assert arcs.tolist() == table(ARCS).tolist()
    assert words.tolist() == WORDS


def test_scale_and_bonus_are_in_the_costs(tmp_path: Path) -> None:
    file = tmp_path / "HLG.fst"
    write_graph(file, table(ARCS), np.array(WORDS, dtype=np.int32), lm_scale=0.5, word_bonus=2.0)
    scores = read_graph(file)[0][:, 3].copy().view(np.float32)
    assert scores.tolist() == [-0.25 + 2.0, -0.625, -1.0]


def test_openfst_reads_it(graph: Path) -> None:
    kaldifst = pytest.importorskip("kaldifst", reason="needs the package kaldifst")
    fst = kaldifst.StdConstFst.read(str(graph))
    assert str(fst).split() == ["0", "1", "2", "1", "0.5", "1", "1", "3", "0", "1.25", "1", "2"]


@pytest.mark.parametrize("length", [0, 10, 60, 89, 120])
def test_a_truncated_graph_is_refused(graph: Path, length: int) -> None:
    graph.write_bytes(graph.read_bytes()[:length])
    with pytest.raises(UserError, match="is no graph"):
        read_graph(graph)


def test_every_changed_byte_gives_a_graph_or_an_error(graph: Path) -> None:
    content = graph.read_bytes()
    for place in range(len(content)):
        graph.write_bytes(content[:place] + bytes([content[place] ^ 0x81]) + content[place + 1 :])
        try:
            arcs, words = read_graph(graph)
        except UserError:
            continue
        assert len(arcs) == len(words)


@pytest.mark.parametrize(
    ("separated", "text", "words"),
    [
        (True, "KAET DAOG", "cat dog"),
        (True, "KAET XYZ", "cat XYZ"),  # what no spelling covers stays
        (False, "KAETDAOG", "cat dog"),
    ],
)
def test_rules_turn_phones_into_words(tmp_path: Path, separated: bool, text: str, words: str) -> None:
    kaldifst = pytest.importorskip("kaldifst", reason="needs the package kaldifst")
    write_rules(tmp_path / "rules.fst", [("KAET", "cat", 1.0), ("DAOG", "dog", 1.0)], separated)
    normalizer = kaldifst.TextNormalizer(str(tmp_path / "rules.fst"))
    assert normalizer(text).strip() == words


def test_of_one_spelling_the_cheapest_word_is_taken(tmp_path: Path) -> None:
    kaldifst = pytest.importorskip("kaldifst", reason="needs the package kaldifst")
    write_rules(tmp_path / "rules.fst", [("TUW", "two", 2.0), ("TUW", "to", 1.0), ("TUW", "too", 3.0)], True)
    assert kaldifst.TextNormalizer(str(tmp_path / "rules.fst"))("TUW").strip() == "to"

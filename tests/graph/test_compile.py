import math
from pathlib import Path
from typing import List, Sequence

import pytest
import torch

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.errors import UserError  # noqa: E402
from asrkit.graph.compile import compile_hlg, erase_disambiguation, settle_labels  # noqa: E402
from asrkit.graph.grammar import make_grammar  # noqa: E402
from asrkit.graph.lexicon import make_lexicon_fst  # noqa: E402
from asrkit.graph.store import DecodingGraph, load_graph, save_graph  # noqa: E402
from asrkit.storage.tensors import save_tensors  # noqa: E402
from asrkit.text.lexicon import Pronunciation  # noqa: E402
from asrkit.text.units import Units  # noqa: E402

LEXICON = [
    Pronunciation("READ", ("R", "EH", "D")),
    Pronunciation("RED", ("R", "EH", "D")),
    Pronunciation("BOOK", ("B", "UH", "K")),
    Pronunciation("BOOKED", ("B", "UH", "K", "D")),
]
# RED is likely after <s>, READ likely before BOOK; figures are log10.
ARPA = """\\data\\
ngram 1=6
ngram 2=4

\\1-grams:
-99\t<s>\t-0.1
-1.0\t</s>
-0.6\tREAD\t-0.1
-0.5\tRED\t-0.1
-0.9\tBOOK\t-0.1
-1.2\tBOOKED\t-0.1

\\2-grams:
-0.3\t<s> RED
-0.1\tREAD BOOK
-0.4\tBOOK </s>
-0.2\tRED </s>

\\end\\
"""


def build(folder: Path, arpa: str = ARPA) -> DecodingGraph:
    words = ["<eps>", "BOOK", "BOOKED", "READ", "RED", "#0", "<s>", "</s>"]
    (folder / "words.txt").write_text("".join(f"{word} {i}\n" for i, word in enumerate(words)))
    (folder / "lm.arpa").write_text(arpa)
    units = make_units()
    ids = {word: index for index, word in enumerate(words)}
    lexicon, first_mark = make_lexicon_fst(LEXICON, units.ids, ids)
    grammar = make_grammar(folder / "lm.arpa", folder / "words.txt")
    hlg = compile_hlg(
        lexicon,
        grammar,
        units=len(units),
        first_unit_mark=first_mark,
        first_word_mark=ids["#0"],
        modified=False,
    )
    return DecodingGraph(hlg, words, {"units": "x"})


def make_units() -> Units:
    return Units(["<blk>", "B", "D", "EH", "K", "R", "UH"], LEXICON)


def decode(graph: DecodingGraph, unit_names: Sequence[str]) -> "tuple[List[str], float]":
    """Words and graph score of the only path that posteriors of certainty leave."""
    units = make_units()
    frames = [units.ids[name] for name in unit_names]
    log_probs = torch.full((1, len(frames), len(units)), -1000.0)
    for time, unit in enumerate(frames):
        log_probs[0, time, unit] = 0.0
    dense = k2.DenseFsaVec(log_probs, torch.tensor([[0, 0, len(frames)]], dtype=torch.int32))
    lattice = k2.intersect_dense_pruned(k2.Fsa.from_fsas([graph.fst]), dense, 500.0, 200.0, 1, 1000)
    path = k2.shortest_path(lattice, use_double_scores=True)
    labels = path.aux_labels if isinstance(path.aux_labels, torch.Tensor) else path.aux_labels.values
    words = [graph.words[index] for index in labels.tolist() if index > 0]
    return words, float(path.get_tot_scores(True, True))


def log10(value: float) -> float:
    return value * math.log(10)


@pytest.mark.parametrize(
    ("units", "words", "score"),
    [
        # RED after <s> by its bigram, then the end by its bigram.
        (["R", "R", "<blk>", "EH", "D"], ["RED"], -0.3 - 0.2),
        # READ backs off from <s>, then BOOK and the end by bigrams.
        (["R", "EH", "D", "B", "<blk>", "UH", "K"], ["READ", "BOOK"], -0.1 - 0.6 - 0.1 - 0.4),
        # BOOKED backs off, and so does the end after it.
        (["B", "UH", "K", "D"], ["BOOKED"], -0.1 - 1.2 - 0.1 - 1.0),
    ],
)
def test_best_path_and_score_are_those_of_the_language_model(
    tmp_path: Path, units: List[str], words: List[str], score: float
) -> None:
    found, total = decode(build(tmp_path), units)
    assert found == words
    assert total == pytest.approx(log10(score), abs=1e-4)


def test_the_stored_graph_decodes_alike(tmp_path: Path) -> None:
    graph = build(tmp_path)
    save_graph(tmp_path / "HLG.safetensors", graph)
    loaded = load_graph(tmp_path / "HLG.safetensors")
    assert loaded.words == graph.words
    assert loaded.made_of == graph.made_of
    assert decode(loaded, ["R", "EH", "D"]) == decode(graph, ["R", "EH", "D"])


def test_another_file_is_not_taken_for_a_graph(tmp_path: Path) -> None:
    save_tensors(tmp_path / "HLG.safetensors", {"weight": torch.zeros(2)}, {})
    with pytest.raises(UserError) as caught:
        load_graph(tmp_path / "HLG.safetensors")
    assert "--stage 5" in caught.value.todo


def test_a_language_model_of_other_words_is_an_error(tmp_path: Path) -> None:
    arpa = "\\data\\\nngram 1=3\n\n\\1-grams:\n-99\t<s>\n-1.0\t</s>\n-0.6\tOTHER\n\n\\end\\\n"
    with pytest.raises(UserError, match="none of the words of the lexicon"):
        build(tmp_path, arpa)


def test_labels_changed_before_remove_epsilon_are_settled(tmp_path: Path) -> None:
    """k2 1.23.4 raises "inappropriately modified" on the result where this isn't done."""
    fst = k2.Fsa.from_str("0 1 1 1 0.5\n1 2 9 2 0.1\n2 3 -1 -1 0\n3", num_aux_labels=1)
    erase_disambiguation(fst, 9, 9)
    without = k2.remove_epsilon(fst)
    settle_labels(without)
    assert 9 not in without.labels.tolist()
    assert k2.connect(without).num_arcs >= 2

import math
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import pytest
import torch

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import DecodeConfig  # noqa: E402
from asrkit.decode.paths import words_on_arcs  # noqa: E402
from asrkit.decode.search import prepare_graph, search_lattice  # noqa: E402
from asrkit.errors import UserError  # noqa: E402
from asrkit.graph import arcs, hubs  # noqa: E402
from asrkit.graph.compile import compile_graph, graph_size  # noqa: E402
from asrkit.graph.grammar import make_grammar  # noqa: E402
from asrkit.graph.lexicon import make_lexicon_tree  # noqa: E402
from asrkit.graph.silence import OptionalSilence  # noqa: E402
from asrkit.graph.store import DecodingGraph, load_graph, save_graph  # noqa: E402
from asrkit.lm.arpa import write_arpa  # noqa: E402
from asrkit.lm.kneser_ney import estimate  # noqa: E402
from asrkit.lm.model import NgramModel, NgramTable  # noqa: E402
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
    words = ["<eps>", "BOOK", "BOOKED", "READ", "RED", "<s>", "</s>"]
    (folder / "words.txt").write_text("".join(f"{word} {i}\n" for i, word in enumerate(words)))
    (folder / "lm.arpa").write_text(arpa)
    units = make_units()
    ids = {word: index for index, word in enumerate(words)}
    tree = make_lexicon_tree(LEXICON, units.ids, ids)
    grammar = make_grammar(folder / "lm.arpa", folder / "words.txt")
    hlg = compile_graph(tree, grammar, len(units))
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


def test_a_stored_graph_decodes_the_same(tmp_path: Path) -> None:
    graph = build(tmp_path)
    save_graph(tmp_path / "HLG.safetensors", graph)
    loaded = load_graph(tmp_path / "HLG.safetensors")
    assert loaded.words == graph.words
    assert loaded.made_of == graph.made_of
    assert decode(loaded, ["R", "EH", "D"]) == decode(graph, ["R", "EH", "D"])


def test_a_loaded_graph_is_memory_mapped_also_during_search(tmp_path: Path) -> None:
    save_graph(tmp_path / "HLG.safetensors", build(tmp_path))
    graph = load_graph(tmp_path / "HLG.safetensors")
    before = (tmp_path / "HLG.safetensors").read_bytes()
    fst = prepare_graph(graph)
    search_lattice(fst, "u1", torch.randn(9, 7).log_softmax(1), DecodeConfig())
    assert (tmp_path / "HLG.safetensors").read_bytes() == before
    for tensor in (fst.arcs.values(), fst.aux_labels):
        assert file_at(tensor.data_ptr()) == str(tmp_path / "HLG.safetensors")


def file_at(address: int) -> str:
    """The file that is mapped at an address of this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(part, 16) for part in line.split()[0].split("-"))
        if first <= address < last:
            return line.partition("/")[1] + line.partition("/")[2]
    return ""


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    save_tensors(tmp_path / "HLG.safetensors", {"weight": torch.zeros(2)}, {})
    with pytest.raises(UserError) as caught:
        load_graph(tmp_path / "HLG.safetensors")
    assert "--stage graph" in caught.value.todo


def test_the_unknown_word_has_the_probability_of_unk_unless_the_model_has_it(tmp_path: Path) -> None:
    write_words = "".join(f"{w} {i}\n" for i, w in enumerate(["<eps>", "<OOV>", "RED", "<s>", "</s>"]))
    (tmp_path / "words.txt").write_text(write_words)
    unigrams = "\\data\\\nngram 1=4\n\n\\1-grams:\n-99\t<s>\n-1.0\t</s>\n-0.6\tRED\n-2.0\t{}\n\n\\end\\\n"
    for name, words in (("<unk>", [1, 2]), ("<OOV>", [1, 2])):
        (tmp_path / "lm.arpa").write_text(unigrams.format(name))
        grammar = make_grammar(tmp_path / "lm.arpa", tmp_path / "words.txt", "<OOV>")
        scores = dict(zip(grammar.word.tolist(), grammar.score.tolist()))
        assert sorted(scores) == words
        assert scores[1] == pytest.approx(-2.0 * math.log(10))
    (tmp_path / "lm.arpa").write_text(unigrams.format("<unk>"))
    assert make_grammar(tmp_path / "lm.arpa", tmp_path / "words.txt").word.tolist() == [2]


def test_a_language_model_of_other_words_is_an_error(tmp_path: Path) -> None:
    arpa = "\\data\\\nngram 1=3\n\n\\1-grams:\n-99\t<s>\n-1.0\t</s>\n-0.6\tOTHER\n\n\\end\\\n"
    with pytest.raises(UserError, match="none of the words of the lexicon"):
        build(tmp_path, arpa)


@pytest.mark.parametrize("fewest", [1, 3, 99])
@pytest.mark.parametrize(
    ("modified", "silence"),
    [(False, None), (True, None), (False, OptionalSilence(4, 0.7)), (True, OptionalSilence(5, 0.4))],
)
@pytest.mark.parametrize("seed", range(4))
def test_best_paths_equal_those_of_k2_s_composition(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    modified: bool,
    silence: Optional[OptionalSilence],
    fewest: int,
) -> None:
    monkeypatch.setattr(hubs, "FEWEST", fewest)
    monkeypatch.setattr(hubs, "SHARES", 2)
    random = np.random.default_rng(seed)
    lexicon, symbols = draw_lexicon(random), ["<eps>", *"ABCDEFGH"]
    model = draw_model(random, symbols[1:])
    write_arpa(model, tmp_path / "lm.arpa")
    (tmp_path / "words.txt").write_text("".join(f"{word} {index}\n" for index, word in enumerate(symbols)))
    unit_ids = {unit: int(unit) for unit in "1234"}
    tree = make_lexicon_tree(lexicon, unit_ids, {word: index for index, word in enumerate(symbols)})
    grammar = make_grammar(tmp_path / "lm.arpa", tmp_path / "words.txt")
    hlg = compile_graph(tree, grammar, 6, "modified" if modified else "standard", silence)
    ours = prepare_graph(DecodingGraph(hlg, symbols, {}))
    plain = k2.Fsa.from_fsas([compose_plainly(lexicon, model, symbols, modified, silence)])
    wide = DecodeConfig(search_beam=1000, output_beam=1000, search_lm_scale=1)
    found = 0
    for _ in range(10):
        log_probs = torch.from_numpy(random.normal(scale=2, size=(9, 6))).float().log_softmax(dim=-1)
        dense = k2.DenseFsaVec(log_probs[None], torch.tensor([[0, 0, 9]], dtype=torch.int32))
        score, words = best_path(search_lattice(ours, "u1", log_probs, wide)[1])
        expected_score, expected_words = best_path(k2.intersect_dense(plain, dense, output_beam=1000.0))
        assert (score, words) == (pytest.approx(expected_score, abs=1e-4), expected_words)
        found += len(words)
    assert found > 10


def draw_lexicon(random: np.random.Generator) -> List[Pronunciation]:
    """Short spellings by few units: homophones, words that begin others, and words of several spellings."""
    words = [*"ABCDEFGH", *random.choice(list("ABCDEFGH"), 4)]
    spellings = [tuple(random.choice(list("1234"), random.integers(1, 4))) for _ in words]
    different = dict.fromkeys(zip(words, spellings))
    return [Pronunciation(*entry, float(random.uniform(0.01, 1))) for entry in different]


def draw_model(random: np.random.Generator, words: Sequence[str]) -> NgramModel:
    """Trigrams of random sentences, some of them taken away as by pruning."""
    sentences = [" ".join(random.choice(words[:-1], random.integers(2, 6))) for _ in range(40)]
    model = estimate([*sentences, words[-1]], 3).model
    last = model.tables[2]
    kept = random.random(len(last.words)) < 0.7
    contexts = {tuple(row[:2]) for row in last.words[kept].tolist()}
    middle = model.tables[1]
    stays = [tuple(row) in contexts or random.random() < 0.7 for row in middle.words.tolist()]
    return NgramModel(model.vocabulary, [model.tables[0], choose(middle, stays), choose(last, kept)])


def choose(table: NgramTable, kept: Any) -> NgramTable:
    return NgramTable(table.words[kept], table.log_probability[kept], table.log_backoff[kept])


def compose_plainly(
    lexicon: Sequence[Pronunciation],
    model: NgramModel,
    symbols: Sequence[str],
    modified: bool,
    silence: Optional[OptionalSilence],
) -> Any:
    """HLG by k2's general algorithms, from an L and a G as they are drawn in textbooks."""
    # 0: the start, 1: before a word, 2: before silence
    present = silence.probability if silence else 0.0
    absent = math.log(1 - present)
    arcs, states = [(0, 1, 0, 0, absent)], 3
    if silence:
        arcs += [(0, 2, 0, 0, math.log(present)), (2, 1, silence.unit, 0, 0.0)]
    for entry in lexicon:
        source = 1
        highest = max(other.probability for other in lexicon if other.word == entry.word)
        for position, unit in enumerate(entry.units):
            word, score = (symbols.index(entry.word), math.log(entry.probability / highest))
            label = (int(unit), *((0, 0.0) if position else (word, score)))
            if position == len(entry.units) - 1:
                arcs.append((source, 1, *label[:2], label[2] + absent))
                if silence:
                    arcs.append((source, 2, *label[:2], label[2] + math.log(present)))
            else:
                arcs.append((source, states, *label))
                source, states = states, states + 1
    spelling = read_arcs([*arcs, (1, states, -1, -1, 0.0)], states)
    histories = {(): 1, ("<s>",): 0}
    for table in model.tables[:-1]:
        for row in table.words.tolist():
            histories.setdefault(tuple(model.vocabulary[index] for index in row), len(histories))
    arcs = []
    for table in model.tables:
        columns = (table.words.tolist(), table.log_probability.tolist(), table.log_backoff.tolist())
        for row, score, backoff in zip(*columns):
            *history, word = (model.vocabulary[index] for index in row)
            ngram = (*history, word)
            if ngram in histories:
                arcs.append((histories[ngram], longest(histories, ngram[1:]), 0, 0, log10(backoff)))
            if word in symbols or word == "</s>":
                target = len(histories) if word == "</s>" else longest(histories, ngram)
                label = -1 if word == "</s>" else symbols.index(word)
                arcs.append((histories[tuple(history)], target, label, label, log10(score)))
    grammar = read_arcs(arcs, len(histories))
    lg = k2.remove_epsilon(k2.connect(k2.compose(spelling, grammar)))
    topology = k2.ctc_topo(5, modified=modified)
    return k2.connect(k2.compose(topology, k2.arc_sort(lg), inner_labels="tokens"))


def longest(histories: Dict[Tuple[str, ...], int], words: Tuple[str, ...]) -> int:
    return next(histories[words[first:]] for first in range(4) if words[first:] in histories)


def read_arcs(arcs: Sequence[Tuple[int, int, int, int, float]], final: int) -> Any:
    lines = [" ".join(map(str, arc)) for arc in sorted(arcs)]
    return k2.arc_sort(k2.Fsa.from_str("\n".join([*lines, str(final)]), num_aux_labels=1))


def best_path(lattice: Any) -> Tuple[float, List[int]]:
    """Score and words of the best path."""
    path = k2.shortest_path(lattice, use_double_scores=True)
    return float(path.get_tot_scores(True, False)), words_on_arcs(path)[0].tolist()


def test_a_graph_too_large_for_k2_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = graph_size(build(tmp_path).fst)
    monkeypatch.setattr(arcs, "MOST", size["arcs"])
    build(tmp_path)
    monkeypatch.setattr(arcs, "MOST", size["arcs"] - 1)
    with pytest.raises(UserError, match=f"{size['arcs']} arcs") as caught:
        build(tmp_path)
    assert "lm.order" in caught.value.todo

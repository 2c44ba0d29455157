"""Searches with a transducer against lists of all alignments."""

import itertools
import math
from pathlib import Path
from typing import Dict, List, Tuple

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor

from asrkit.config import DecodeConfig
from asrkit.config.methods import LM, METHODS, WORDS
from asrkit.decode.methods import UtteranceDecoder
from asrkit.decode.nbest import make_points
from asrkit.decode.transducer import modified_beam_search
from asrkit.model.acoustic import AcousticModel
from asrkit.text.lexicon import write_lexicon
from tests.train.tiny import MODEL

UNITS = 7


def make_model() -> AcousticModel:
    torch.manual_seed(0)
    config = msgspec.structs.replace(MODEL, transducer=True)
    model = AcousticModel(config, bins=20, units=UNITS).eval()
    assert model.transducer is not None
    torch.nn.init.normal_(model.transducer.output.weight, std=1.0)  # confident enough for a beam
    return model


def all_alignments(model: AcousticModel, encoded: Tensor) -> Dict[Tuple[int, ...], List[float]]:
    """Log scores of all alignments by unit sequence."""
    found: Dict[Tuple[int, ...], List[float]] = {}
    assert model.transducer is not None
    table = {
        context: model.transducer.log_probs(encoded, torch.tensor([context] * len(encoded))).tolist()
        for context in itertools.product(range(UNITS), repeat=2)
    }
    for path in itertools.product(range(UNITS), repeat=len(encoded)):
        units: Tuple[int, ...] = ()
        score = 0.0
        for frame, unit in enumerate(path):
            score += table[tuple((0, 0, *units)[-2:])][frame][unit]  # type: ignore[index]
            units = (*units, unit) if unit else units
        found.setdefault(units, []).append(score)
    return found


@torch.no_grad()
def test_a_wide_beam_sums_all_alignments() -> None:
    model = make_model()
    assert model.transducer is not None
    encoded = torch.randn(3, MODEL.attention_dim)
    expected = all_alignments(model, encoded)
    found = modified_beam_search(model.transducer, encoded, beam=1000)
    assert found.keys() == expected.keys()
    for units, score in found.items():
        assert score == pytest.approx(float(np.logaddexp.reduce(expected[units])), abs=1e-4)
    assert len(modified_beam_search(model.transducer, encoded, beam=4)) <= 4
    assert modified_beam_search(model.transducer, encoded[:0], beam=4) == {(): 0.0}


@pytest.mark.k2
@torch.no_grad()
def test_methods_find_the_best_words_with_their_scores(tmp_path: Path) -> None:
    pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
    from tests.graph.test_compile import LEXICON, build, make_units

    build(tmp_path)
    units = make_units()
    write_lexicon(tmp_path / "lexicon.txt", LEXICON)
    (tmp_path / "units.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(units.symbols)))
    model, methods = make_model(), ("transducer-greedy", "modified-beam-search", "fast-beam-search")
    config = DecodeConfig(methods=methods, transducer_beam=100, search_lm_scale=1.0)
    files = {LM: tmp_path / "lm.arpa", WORDS: tmp_path / "words.txt"}
    decoder = UtteranceDecoder(config, units, files=files, model=model)
    encoded = 2 * torch.randn(5, MODEL.attention_dim)
    points = {name: make_points(METHODS[name].grid(config).values()) for name in methods}
    log_probs = torch.zeros(5, UNITS)
    found = {name: nbest for name, (nbest, _) in decoder.decode("u", log_probs, points, encoded).items()}
    alignments = all_alignments(model, encoded)
    fast = found["fast-beam-search"]
    assert fast.outcome == "lattice"
    for words, (acoustic, lm, count) in zip(fast.words, fast.scores):
        assert acoustic == pytest.approx(max(alignments[tuple(units.encode(" ".join(words)))]), abs=1e-3)
        assert count == len(words)
        assert lm == pytest.approx(float(bigram_score(tmp_path / "lm.arpa", words)), abs=1e-3)
    best = max(
        (max(alignments[spelled]) + bigram_score(tmp_path / "lm.arpa", words), words)
        for words in (["RED"], ["READ"], ["BOOK"], ["BOOKED"])
        for spelled in [tuple(units.encode(" ".join(words)))]
    )
    assert fast.best([1.0, 0.0]) == best[1]
    beam = found["modified-beam-search"]
    likely = max(alignments, key=lambda each: float(np.logaddexp.reduce(alignments[each])))
    assert beam.best([0.0, 0.0]) == units.words(likely)
    with pytest.raises(ValueError, match="encoder's output"):
        decoder.decode("u", log_probs, {"transducer-greedy": np.zeros((1, 0))})


def bigram_score(arpa: Path, words: List[str]) -> float:
    from asrkit.lm.kenlm import load_kenlm

    return math.log(10) * load_kenlm(arpa).score(" ".join(words))

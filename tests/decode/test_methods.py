import math
from pathlib import Path
from typing import Dict, Optional, Sequence

import msgspec
import numpy as np
import pytest
import torch

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import DecodeConfig, NeuralLmConfig  # noqa: E402
from asrkit.config.methods import LARGER_LM, LM, METHODS, NEURAL_LM, SECOND_NEURAL_LM, WORDS  # noqa: E402
from asrkit.decode.methods import UtteranceDecoder, make_ngram_scorer  # noqa: E402
from asrkit.decode.nbest import NBest, make_points  # noqa: E402
from asrkit.lm.neural import make_neural_scorer, train_neural  # noqa: E402
from asrkit.model.acoustic import AcousticModel  # noqa: E402
from asrkit.text.lexicon import Pronunciation  # noqa: E402
from asrkit.text.units import Units  # noqa: E402
from tests.graph.test_compile import build, make_units  # noqa: E402
from tests.model.test_acoustic import SMALL  # noqa: E402

# Unlike the graph's model, this one wants BOOKED.
LARGER = """\\data\\
ngram 1=6
ngram 2=2

\\1-grams:
-99\t<s>\t-0.1
-1.0\t</s>
-0.6\tREAD\t-0.1
-0.5\tRED\t-0.1
-3.0\tBOOK\t-0.1
-1.2\tBOOKED\t-0.1

\\2-grams:
-0.1\t<s> BOOKED
-0.2\tBOOKED </s>

\\end\\
"""


def make_model() -> AcousticModel:
    torch.manual_seed(0)
    return AcousticModel(msgspec.structs.replace(SMALL, decoder_blocks=1), bins=20, units=7).eval()


def decode(
    folder: Path,
    config: DecodeConfig,
    frames: Sequence[Sequence[str]],
    encoded: Optional[torch.Tensor] = None,
    model: Optional[AcousticModel] = None,
) -> Dict[str, NBest]:
    """n-best lists for posteriors that a frame's units share between them."""
    graph, units = build(folder), make_units()
    (folder / "larger.arpa").write_text(LARGER)
    files = {
        WORDS: folder / "words.txt",
        LM: folder / "lm.arpa",
        LARGER_LM: folder / "larger.arpa",
        NEURAL_LM: folder / "neural.safetensors",
        SECOND_NEURAL_LM: folder / "second_neural.safetensors",
    }
    decoder = UtteranceDecoder(config, units, graph, files, model)
    log_probs = torch.full((len(frames), len(units)), -14.0)
    for row, names in zip(log_probs, frames):
        row[[units.ids[name] for name in names]] = -math.log(len(names))
    points = {method: make_points(METHODS[method].grid(config).values()) for method in config.methods}
    return {method: nbest for method, (nbest, _) in decoder.decode("u1", log_probs, points, encoded).items()}


def test_a_larger_model_decides_where_the_sound_does_not(tmp_path: Path) -> None:
    methods = ("1best", "nbest-rescoring", "whole-lattice-rescoring", "nbest-oracle")
    config = DecodeConfig(methods=methods, nbest_paths=50)
    found = decode(tmp_path, config, [["B"], ["UH"], ["K"], ["D", "<blk>"]])
    assert found["1best"].best([1.0, 0.0]) == ["BOOK"]
    assert found["nbest-rescoring"].best([0.0, 0.0, 1.0]) == ["BOOKED"]
    assert found["whole-lattice-rescoring"].best([1.0, 0.0]) == ["BOOKED"]
    assert {"BOOK", "BOOKED"} <= {" ".join(words) for words in found["nbest-oracle"].words}
    # Both ways of rescoring give the larger model's score: <s> BOOKED </s>, -0.3 in log10.
    for method, column in (("nbest-rescoring", 3), ("whole-lattice-rescoring", 1)):
        nbest = found[method]
        score = nbest.scores[nbest.words.index(["BOOKED"]), column]
        assert score == pytest.approx(-0.3 * math.log(10), abs=1e-4)


def test_attention_adds_what_the_decoder_gives_to_the_words_units(tmp_path: Path) -> None:
    model, units = make_model(), make_units()
    assert model.decoder is not None
    encoded = torch.randn(9, SMALL.attention_dim)
    config = DecodeConfig(methods=("1best", "attention-decoder"), lm_scales=(0.5, 1.0), nbest_paths=100)
    frames = [["R"], ["EH"], ["D"], ["B", "<blk>"], ["UH"], ["K"], ["D", "<blk>"]]
    found = decode(tmp_path, config, frames, encoded, model)
    attention = found["attention-decoder"]
    heard = {" ".join(words) for words in attention.words}
    assert heard == {"RED BOOK", "READ BOOK", "RED BOOKED", "READ BOOKED"}  # homophones too
    for words, row in zip(attention.words, attention.scores):
        ids = units.encode(" ".join(words))
        read = torch.tensor([[model.decoder.boundary, *ids]])
        log_probs = model.decoder(read, encoded[None], torch.tensor([9]))[0]
        expected = log_probs[range(len(ids) + 1), [*ids, model.decoder.boundary]].sum()
        assert row[3] == pytest.approx(float(expected), abs=1e-4)
    grid = METHODS["attention-decoder"].grid(config)
    assert grid["lm_scale"] == (0.0, 0.5, 1.0)
    for point in make_points(METHODS["1best"].grid(config).values()):
        assert attention.best([*point, 0.0]) == found["1best"].best(point)
    with pytest.raises(ValueError, match="encoder's output"):
        decode(tmp_path, config, frames, None, model)


def test_neural_adds_what_the_recurrent_model_gives_to_the_words(tmp_path: Path) -> None:
    text = ["RED BOOKED", "READ BOOK", "RED"]
    train_neural(NeuralLmConfig(layers=1, dim=8, epochs=1), text, text, tmp_path / "neural.safetensors")
    config = DecodeConfig(methods=("neural-rescoring",), lm_scales=(0.5, 1.0))
    frames = [["R"], ["EH"], ["D"], ["B", "<blk>"], ["UH"], ["K"], ["D", "<blk>"]]
    found = decode(tmp_path, config, frames)["neural-rescoring"]
    expected = make_neural_scorer(tmp_path / "neural.safetensors")(found.words)
    assert found.scores[:, 3] == pytest.approx(expected, abs=1e-5)
    grid = METHODS["neural-rescoring"].grid(config)
    assert list(grid) == ["lm_scale", "word_bonus", "neural_scale"]
    assert grid["lm_scale"] == grid["neural_scale"] == (0.0, 0.5, 1.0)


def test_an_utterance_without_a_lattice_is_what_greedy_finds(tmp_path: Path) -> None:
    found = decode(tmp_path, DecodeConfig(methods=("greedy", "1best")), [])
    assert found["1best"].words == found["greedy"].words == [[]]
    assert found["1best"].outcome == "empty"


def test_the_topology_alone_finds_what_greedy_does_and_its_list_what_the_language_model_wants(
    tmp_path: Path,
) -> None:
    config = DecodeConfig(methods=("greedy", "ctc-decoding", "1best"), lm_scales=(1.0,))
    found = decode(tmp_path, config, [["R"], ["EH"], ["D"], ["<blk>"], ["B"], ["UH"], ["K"]])
    assert found["ctc-decoding"].best([0.0, 0.0]) == found["greedy"].words[0] == ["READ", "BOOK"]
    found = decode(tmp_path, config, [["B"], ["UH"], ["K"], ["K", "D"]])
    assert {"BOOK", "BOOKED"} == {" ".join(words) for words in found["ctc-decoding"].words}
    row = found["ctc-decoding"].scores[found["ctc-decoding"].words.index(["BOOKED"])]
    # BOOKED and the end by their unigrams, with what <s> and BOOKED back off by
    assert row == pytest.approx([-math.log(2), -2.4 * math.log(10), 1], abs=1e-2)
    assert found["ctc-decoding"].best([1.0, 0.0]) == ["BOOK"] and found["ctc-decoding"].outcome == "lattice"
    assert decode(tmp_path, config, [])["ctc-decoding"].words == [[]]


def test_prefix_search_uses_the_language_model_and_no_lexicon(tmp_path: Path) -> None:
    pytest.importorskip("pyctcdecode", reason="pyctcdecode is not installed")
    (tmp_path / "lm.arpa").write_text(LARGER.replace("BOOKED", "AB").replace("BOOK", "AC"))
    lexicon = [Pronunciation(word, ("\u2581A", word[1])) for word in ("AB", "AC")]
    units = Units(["<blk>", "\u2581A", "B", "C"], lexicon)
    config = DecodeConfig(methods=("prefix-beam-search",))
    decoder = UtteranceDecoder(config, units, files={LM: tmp_path / "lm.arpa"})
    log_probs = torch.tensor([[0.01, 0.97, 0.01, 0.01], [0.02, 0.02, 0.4, 0.56]]).log()
    points = {"prefix-beam-search": np.array([[1.0, 0.0]])}
    nbest, _ = decoder.decode("u1", log_probs, points)["prefix-beam-search"]
    assert nbest.best([0.0, 0.0]) == ["AC"] and nbest.best([1.0, 0.0]) == ["AB"]


def test_language_models_add_a_column_each(tmp_path: Path) -> None:
    text = ["RED BOOKED", "READ BOOK", "RED"]
    for name, kind in {"neural": "residual", "second_neural": "masked"}.items():
        settings = msgspec.convert({"kind": kind, "layers": 1, "dim": 8, "epochs": 1}, NeuralLmConfig)
        train_neural(settings, text, text, tmp_path / f"{name}.safetensors")
    methods = {
        "ngram-and-neural-rescoring": {"rescore_scale": "larger", "neural_scale": "neural"},
        "two-neural-rescoring": {"neural_scale": "neural", "second_neural_scale": "second_neural"},
    }
    config = DecodeConfig(methods=tuple(methods), lm_scales=(0.5,), word_bonuses=(0.0,))
    frames = [["R"], ["EH"], ["D"], ["B", "<blk>"], ["UH"], ["K"], ["D", "<blk>"]]
    found = decode(tmp_path, config, frames)
    words = found["two-neural-rescoring"].words
    expected = {
        name: make_neural_scorer(tmp_path / f"{name}.safetensors")(words)
        for name in ("neural", "second_neural")
    }
    expected["larger"] = make_ngram_scorer(tmp_path / "larger.arpa")(words)
    for method, scales in methods.items():
        assert found[method].words == words
        assert list(METHODS[method].grid(config)) == ["lm_scale", "word_bonus", *scales]
        for column, name in enumerate(scales.values(), start=3):
            assert found[method].scores[:, column] == pytest.approx(expected[name], abs=1e-5)

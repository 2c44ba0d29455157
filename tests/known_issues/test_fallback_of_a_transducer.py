"""If fast-beam-search found no path, it fell back to CTC's greedy transcript, but CTC may be untrained."""

from pathlib import Path

import numpy as np
import pytest
import torch

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import DecodeConfig  # noqa: E402
from asrkit.config.methods import LM, WORDS  # noqa: E402
from asrkit.decode import methods  # noqa: E402
from asrkit.text.lexicon import write_lexicon  # noqa: E402
from tests.decode.test_transducer import UNITS, make_model  # noqa: E402
from tests.graph.test_compile import LEXICON, build, make_units  # noqa: E402
from tests.train.tiny import MODEL  # noqa: E402


def test_it_falls_back_to_transducer_greedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "fast_beam_search", lambda *_: None)
    build(tmp_path)
    units = make_units()
    write_lexicon(tmp_path / "lexicon.txt", LEXICON)
    (tmp_path / "units.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(units.symbols)))
    names = ("transducer-greedy", "fast-beam-search")
    files = {LM: tmp_path / "lm.arpa", WORDS: tmp_path / "words.txt"}
    decoder = methods.UtteranceDecoder(DecodeConfig(methods=names), units, files=files, model=make_model())
    encoded = 2 * torch.randn(5, MODEL.attention_dim, generator=torch.Generator().manual_seed(1))
    log_probs = torch.full((5, UNITS), -14.0)
    log_probs[:, units.ids["B"]] = 0.0  # of CTC
    points = {"transducer-greedy": np.zeros((1, 0)), "fast-beam-search": np.array([[1.0, 0.0]])}
    found = decoder.decode("u", log_probs, points, encoded)
    greedy, fast = (found[name][0] for name in names)
    assert fast.words == greedy.words and fast.words not in ([[]], [["B"]])
    assert fast.outcome == "greedy"

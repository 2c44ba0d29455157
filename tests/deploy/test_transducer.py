"""A transducer's ONNX files in sherpa-onnx, which gives it hotwords."""

from pathlib import Path
from typing import Any, List

import msgspec
import numpy as np
import pytest
import torch

from asrkit.config import FeaturesConfig, UnitsConfig
from asrkit.deploy.export import write_pieces
from asrkit.deploy.exported import export_transducer
from asrkit.model.acoustic import AcousticModel
from asrkit.model.transducer import greedy_transducer
from asrkit.signal.filterbank import FilterBank
from asrkit.text.units import build_units
from tests.train.tiny import MODEL

SYMBOLS = ["<blk>", "CD", "\u2581", "\u2581AB"]  # BPE of the words AB and CD


@pytest.fixture
def model() -> AcousticModel:
    """Untrained, with outputs that vary from frame to frame."""
    torch.manual_seed(3)  # finds all units
    model = AcousticModel(msgspec.structs.replace(MODEL, transducer=True), bins=80, units=len(SYMBOLS)).eval()
    assert model.transducer is not None
    for layer in (model.transducer.output, model.transducer.encoder, model.transducer.predictor):
        torch.nn.init.normal_(layer.weight, std=1.0)
    return model


@pytest.fixture
def bundle(model: AcousticModel, tmp_path: Path) -> Path:
    pytest.importorskip("onnx", reason="needs the extra [export]")
    units = build_units(UnitsConfig(vocabulary_size=9), ["AB CD AB AB", "CD AB"], tmp_path)
    assert units.symbols == SYMBOLS
    export_transducer(model, tmp_path)
    write_pieces(tmp_path / "bpe.model", tmp_path / "bpe.vocab")
    return tmp_path


def recognise(bundle: Path, samples: np.ndarray, hotwords: str = "", **options: Any) -> List[int]:
    """Units of some samples by sherpa-onnx."""
    sherpa = pytest.importorskip("sherpa_onnx", reason="needs the package sherpa-onnx")
    files = [str(bundle / f"{name}.onnx") for name in ("encoder", "decoder", "joiner")]
    tokens = str(bundle / "units.txt")
    recognizer = sherpa.OfflineRecognizer.from_transducer(*files, tokens=tokens, **options)
    stream = recognizer.create_stream(hotwords=hotwords) if hotwords else recognizer.create_stream()
    stream.accept_waveform(16000, samples)
    recognizer.decode_stream(stream)
    return [SYMBOLS.index(token.replace(" ", "\u2581")) for token in stream.result.tokens]


def noise(seed: int, seconds: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, 16000 * seconds).astype(np.float32)


def test_sherpa_onnx_finds_the_units_of_greedy_search(model: AcousticModel, bundle: Path) -> None:
    bank = FilterBank(FeaturesConfig())
    for seed in range(5):
        samples = noise(seed, seed + 1)
        features = torch.from_numpy(bank.extract(samples))
        with torch.no_grad():
            encoded, _, frames = model.encode(features[None], torch.tensor([len(features)]))
        assert model.transducer is not None
        (units,) = greedy_transducer(model.transducer, encoded, frames.tolist())
        assert recognise(bundle, samples) == units != []


def test_sherpa_onnx_prefers_hotwords(bundle: Path) -> None:
    spelling = {"modeling_unit": "bpe", "bpe_vocab": str(bundle / "bpe.vocab")}
    options = {"decoding_method": "modified_beam_search", "hotwords_score": 5.0, **spelling}

    def count(hotwords: str) -> int:
        units = recognise(bundle, noise(0, 2), hotwords, **options)
        return list(zip(units, units[1:])).count((2, 1))  # ▁ CD

    assert count("CD") > count("")

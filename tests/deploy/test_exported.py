"""ONNX files give PyTorch's log-probabilities, with every supported torch; needs no k2."""

from pathlib import Path

import pytest
import torch

from asrkit.config.recipe import ModelConfig
from asrkit.deploy.exported import export_onnx, quantise, to_half_precision
from asrkit.model.acoustic import AcousticModel
from asrkit.model.pruning import prune


@pytest.mark.parametrize(("utterance_mean", "keep"), [(False, 1.0), (True, 1.0), (False, 0.5)])
@pytest.mark.parametrize(("form", "difference"), [("float32", 1e-4), ("float16", 0.1), ("int8", 0.1)])
def test_onnx_gives_the_models_log_probabilities(
    tmp_path: Path, form: str, difference: float, utterance_mean: bool, keep: float
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra [export]")
    pytest.importorskip("onnx", reason="needs the extra [export]")
    torch.manual_seed(0)
    model = AcousticModel(ModelConfig(utterance_mean=utterance_mean), bins=20, units=7).eval()
    model = prune(model, keep)
    file = tmp_path / "model.onnx"
    export_onnx(model, file, {"model_type": "zipformer2_ctc"})
    if form != "float32":
        convert = {"float16": to_half_precision, "int8": quantise}[form]
        convert(file, tmp_path / "converted.onnx")
        file = tmp_path / "converted.onnx"
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    features, lengths = torch.randn(3, 301, 20), torch.tensor([301, 100, 7])
    found, found_frames = session.run(None, {"x": features.numpy(), "x_lens": lengths.numpy()})
    with torch.no_grad():
        expected, frames = model(model.normalise(features, lengths), lengths)
    assert found_frames.tolist() == frames.tolist()
    for row, other, count in zip(torch.from_numpy(found), expected, frames.tolist()):
        torch.testing.assert_close(row[:count], other[:count], rtol=0, atol=difference)

"""Exported int8 weights used 8 bits: without VNNI products saturated, log-probabilities were off by 0.6."""

from pathlib import Path

import pytest
import torch

from asrkit.config.recipe import ModelConfig
from asrkit.deploy.exported import export_onnx, quantise
from asrkit.model.acoustic import AcousticModel


def test_int8_weights_leave_room_for_the_sum_of_two_products(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the extra [export]")
    pytest.importorskip("onnxruntime", reason="needs the extra [export]")
    torch.manual_seed(0)
    export_onnx(AcousticModel(ModelConfig(), bins=20, units=7).eval(), tmp_path / "model.onnx", {})
    quantise(tmp_path / "model.onnx", tmp_path / "int8.onnx")
    weights = [
        torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()).int()
        for tensor in onnx.load(str(tmp_path / "int8.onnx")).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and tensor.dims
    ]
    largest = max(int(weight.abs().max()) for weight in weights)
    assert len(weights) > 10
    assert 2 * 255 * largest < 2**15, f"two products of 255 and {largest} don't fit 16 bits"

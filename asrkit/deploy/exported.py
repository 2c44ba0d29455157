"""The acoustic model as a file that needs no asrkit: ONNX or TorchScript, traced from the model itself."""

import contextlib
import importlib
import inspect
import logging
import warnings
from pathlib import Path
from types import ModuleType
from typing import Dict, Iterator, Tuple

import torch
from torch import Tensor, nn

from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.storage.files import whole_file

OPSET = 17  # has LayerNormalization; onnxruntime 1.12 and later run it
EXAMPLE_FRAMES = (203, 150)  # traced with a ragged batch; any number of utterances and frames runs


class Exported(nn.Module):
    """Features as they are computed, not normalised, to log-probabilities of tokens."""

    def __init__(self, model: AcousticModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, x_lens: Tensor) -> Tuple[Tensor, Tensor]:
        """(batch, time, bin), frames (batch,) int64 to (batch, frame, token), frames (batch,) int64."""
        log_probs, lens = self.model(self.model.normalise(x, x_lens), x_lens)
        return log_probs, lens.to(torch.int64)


def _example(model: AcousticModel) -> Tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor(EXAMPLE_FRAMES)
    return torch.randn(len(lengths), max(EXAMPLE_FRAMES), model.bins, generator=generator), lengths


@contextlib.contextmanager
def _without_tracer_warnings() -> Iterator[None]:
    """Ignore warnings of constants in the trace: numbers of heads and dimensions, which are fixed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def export_torchscript(model: AcousticModel, file: Path) -> None:
    """Write the model as TorchScript, whole or not at all."""
    with torch.no_grad(), _without_tracer_warnings(), whole_file(file) as partial:
        traced = torch.jit.trace(Exported(model).eval(), _example(model), check_trace=False)
        torch.jit.save(traced, str(partial))


def export_onnx(model: AcousticModel, file: Path, metadata: Dict[str, str]) -> None:
    """Write the model as ONNX in float32, whole or not at all.

    Inputs x (N, T, C) float32, x_lens (N) int64; outputs log_probs (N, T', V), lens (N) int64: sherpa-onnx's
    kind zipformer_ctc (offline-zipformer-ctc-model.cc), which takes them by position.
    """
    names = {"input_names": ["x", "x_lens"], "output_names": ["log_probs", "lens"]}
    has_dynamo = "dynamo" in inspect.signature(torch.onnx.export).parameters
    axes = {"x": {0: "N", 1: "T"}, "x_lens": {0: "N"}, "log_probs": {0: "N", 1: "T_out"}, "lens": {0: "N"}}
    with torch.no_grad(), _without_tracer_warnings(), whole_file(file) as partial:
        torch.onnx.export(
            Exported(model).eval(),
            _example(model),
            str(partial),
            opset_version=OPSET,
            dynamic_axes=axes,
            **names,
            **({"dynamo": False} if has_dynamo else {}),  # which writes the weights into a second file
        )
        _add_metadata(partial, metadata)


def quantise(file: Path, quantised: Path) -> None:
    """Write an ONNX model whose matrix products are of 8-bit integers; convolutions stay in float32.

    Quantised convolutions are slower on CPUs and cost more errors.
    """
    quantization = _import("onnxruntime.quantization")
    logging.getLogger().setLevel(logging.ERROR)  # it advises preprocessing on the root logger
    with whole_file(quantised) as partial:
        quantization.quantize_dynamic(
            str(file), str(partial), op_types_to_quantize=["MatMul"], weight_type=quantization.QuantType.QInt8
        )


def to_half_precision(file: Path, halved: Path) -> None:
    """Write an ONNX model in float16, with float32 inputs and outputs."""
    float16, onnx = _import("onnxruntime.transformers.float16"), _import("onnx")
    converted = float16.convert_float_to_float16(onnx.load(str(file)), keep_io_types=True)
    with whole_file(halved) as partial:
        onnx.save(converted, str(partial))


def _add_metadata(file: Path, metadata: Dict[str, str]) -> None:
    """Add metadata where onnx is installed; sherpa-onnx's current versions don't need it."""
    with contextlib.suppress(ImportError):
        import onnx

        content = onnx.load(str(file))
        onnx.helper.set_model_props(content, metadata)
        onnx.save(content, str(file))


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"the package {error.name} is missing",
            expected="the extra [export]",
            where="asrkit export",
            todo="pip install 'asrkit[export]'",
        ) from None

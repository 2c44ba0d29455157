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

from asrkit.config.symbols import BLANK
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.model.transducer import CONTEXT, Transducer
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
    inputs = {"x": {0: "N", 1: "T"}, "x_lens": {0: "N"}}
    outputs = {"log_probs": {0: "N", 1: "T_out"}, "lens": {0: "N"}}
    _export(Exported(model), _example(model), file, metadata, inputs, outputs)


class _Encoder(Exported):
    """Features to the joiner's states of frames."""

    def forward(self, x: Tensor, x_lens: Tensor) -> Tuple[Tensor, Tensor]:
        """(batch, time, bin), frames (batch,) int64 to (batch, frame, dim), frames (batch,) int64."""
        encoded, _, lens = self.model.encode(self.model.normalise(x, x_lens), x_lens)
        assert self.model.transducer is not None
        return self.model.transducer.encoder(encoded), lens.to(torch.int64)


class _Predictor(nn.Module):
    """The last units to the joiner's state of them."""

    def __init__(self, transducer: Transducer) -> None:
        super().__init__()
        self.transducer = transducer

    def forward(self, y: Tensor) -> Tensor:
        """(batch, CONTEXT) int64 to (batch, dim); sherpa-onnx writes -1 where no unit is, and so no blank."""
        return self.transducer.predictor(self.transducer.predict(y.clamp(min=BLANK))[:, 0])


class _Joiner(_Predictor):
    """States of a frame and of the last units to logits."""

    def forward(self, encoder_out: Tensor, decoder_out: Tensor) -> Tensor:  # type: ignore[override]
        """(batch, dim) twice to (batch, token)."""
        return self.transducer.join(encoder_out, decoder_out)


def export_transducer(model: AcousticModel, directory: Path) -> None:
    """Write encoder.onnx, decoder.onnx and joiner.onnx, as sherpa-onnx has the parts of transducers."""
    transducer = model.transducer
    assert transducer is not None
    metadata = {"context_size": str(CONTEXT), "vocab_size": str(model.units)}
    state = torch.zeros(1, transducer.output.in_features)
    inputs = {"x": {0: "N", 1: "T"}, "x_lens": {0: "N"}}
    outputs = {"encoder_out": {0: "N", 1: "T_out"}, "encoder_out_lens": {0: "N"}}
    _export(_Encoder(model), _example(model), directory / "encoder.onnx", metadata, inputs, outputs)
    context, one = torch.zeros(1, CONTEXT, dtype=torch.int64), {0: "N"}
    predicted = {"decoder_out": one}
    _export(_Predictor(transducer), (context,), directory / "decoder.onnx", metadata, {"y": one}, predicted)
    states = {"encoder_out": one, "decoder_out": one}
    joined = {"logit": one}
    _export(_Joiner(transducer), (state, state), directory / "joiner.onnx", metadata, states, joined)


def _export(
    module: nn.Module,
    example: Tuple[Tensor, ...],
    file: Path,
    metadata: Dict[str, str],
    inputs: Dict[str, Dict[int, str]],
    outputs: Dict[str, Dict[int, str]],
) -> None:
    """Write a module as ONNX; `inputs` and `outputs`: the axes of any size, by name."""
    has_dynamo = "dynamo" in inspect.signature(torch.onnx.export).parameters
    with torch.no_grad(), _without_tracer_warnings(), whole_file(file) as partial:
        torch.onnx.export(
            module.eval(),
            example,
            str(partial),
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={**inputs, **outputs},
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

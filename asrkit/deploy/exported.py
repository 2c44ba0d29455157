"""The acoustic model as a file that needs no asrkit: ONNX or TorchScript, traced from the model itself."""

import contextlib
import importlib
import inspect
import logging
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator, List, Tuple

import torch
from torch import Tensor, nn

from asrkit.config.symbols import BLANK
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.model.encoder import heads_of
from asrkit.model.streaming import StreamingModel
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


def _old_exporter() -> Dict[str, Any]:
    """The newer one writes the weights into a second file."""
    return {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}


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
    """The joiner: encoder state and predictor state to logits."""

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
    with torch.no_grad(), _without_tracer_warnings(), whole_file(file) as partial:
        torch.onnx.export(
            module.eval(),
            example,
            str(partial),
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={**inputs, **outputs},
            **_old_exporter(),
        )
        _add_metadata(partial, metadata)


class ExportedStream(nn.Module):
    """A chunk of features and states to log-probabilities and states, in the form of sherpa-onnx's kind
    zipformer2_ctc (online-zipformer2-ctc-model.cc).

    Its states are those of stacks of Zipformer layers. The first stack has a layer per block, which uses its
    slots of keys, values and one convolution; a second stack of one layer keeps the front end's features in a
    convolution's slot. The other slots pass through.
    """

    slots = ("key", "nonlin_attn", "val1", "val2", "conv1", "conv2")

    def __init__(self, model: StreamingModel) -> None:
        super().__init__()
        self.streaming, self.config = model, model.model.config
        self.blocks = self.config.attention_blocks
        layers = [str(number) for number in range(self.blocks + 1)]
        self.names = [f"cached_{slot}_{layer}" for layer in layers for slot in self.slots]
        self.names += ["embed_states", "processed_lens"]

    def metadata(self) -> Dict[str, str]:
        """What sherpa-onnx reads to make the first states; lists have an entry per stack."""
        config, model = self.config, self.streaming
        heads, width = heads_of(config)
        lists = {
            "encoder_dims": (config.attention_dim, model.model.bins),
            "query_head_dims": (width, 1),
            "value_head_dims": (width, 1),
            "num_heads": (heads, 1),
            "num_encoder_layers": (self.blocks, 1),
            "cnn_module_kernels": (2 * (config.convolution_kernel - 1), 2 * model.kept),
            "left_context_len": (config.left_context, 1),
        }
        joined = {name: ",".join(map(str, values)) for name, values in lists.items()}
        lengths = {"T": str(model.window), "decode_chunk_len": str(model.shift)}
        return {"model_type": "zipformer2_ctc", "version": "1", **joined, **lengths}

    def first_states(self, batch: int) -> List[Tensor]:
        """The states at the beginning, zeros, as sherpa-onnx makes them."""
        config, model = self.config, self.streaming
        (heads, size), dim, states = heads_of(config), config.attention_dim, []
        for frames, value, width, kept in [
            *[(config.left_context, heads * size, dim, config.convolution_kernel - 1)] * self.blocks,
            (1, 1, model.model.bins, model.kept),
        ]:
            shapes = [(frames, batch, value), (1, batch, frames, 3 * width // 4), (frames, batch, value)]
            shapes += [(frames, batch, value), (batch, width, kept), (batch, width, kept)]
            states += [torch.zeros(shape) for shape in shapes]
        return [*states, torch.zeros(batch, 128, 3, 19), torch.zeros(batch, dtype=torch.int64)]

    def forward(self, x: Tensor, *states: Tensor) -> Tuple[Tensor, ...]:
        """(batch, window, bin) and states to (batch, chunk, token) and the states after the chunk."""
        layers = [states[first : first + 6] for first in range(0, 6 * (self.blocks + 1), 6)]
        *layers, (*_, features, _) = layers
        left, (heads, width) = self.config.left_context, heads_of(self.config)

        def to_heads(slot: Tensor) -> Tensor:  # (frame, batch, head * width) to (batch, head, frame, width)
            return slot.view(left, -1, heads, width).permute(1, 2, 0, 3)

        def to_slot(kept: Tensor) -> Tensor:
            return kept.permute(2, 0, 1, 3).reshape(left, -1, heads * width)

        flat: List[Tensor] = []
        for keys, _, values, _, gated, _ in layers:
            flat += [to_heads(keys), to_heads(values), gated.transpose(1, 2)]
        done = states[-1]
        lengths = torch.zeros_like(done) + self.streaming.window
        log_probs, _, after = self.streaming(x, lengths, done, features.transpose(1, 2), *flat)
        found = list(states)
        for layer in range(self.blocks):
            keys, values, gated = after[2 + 3 * layer : 5 + 3 * layer]
            first = 6 * layer
            found[first], found[first + 2] = to_slot(keys), to_slot(values)
            found[first + 4] = gated.transpose(1, 2)
        found[6 * self.blocks + 4], found[-1] = after[1].transpose(1, 2), after[0]
        return (log_probs, *found)


def export_stream(model: StreamingModel, file: Path, comment: str) -> None:
    """Write the model with its states as ONNX, whole or not at all, for sherpa-onnx's OnlineRecognizer.

    Raises UserError without the package onnx, which writes the metadata that sherpa-onnx needs.
    """
    _import("onnx")
    exported = ExportedStream(model)
    example, states = torch.randn(2, model.window, model.model.bins), exported.first_states(2)
    inputs, outputs = ["x", *exported.names], ["log_probs", *(f"new_{name}" for name in exported.names)]
    second = ("key", "nonlin", "val")  # of these slots the batch is the second axis
    axes = {name: {int(any(slot in name for slot in second)): "N"} for name in [*inputs, *outputs]}
    axes["embed_states"] = axes["new_embed_states"] = {0: "N", 3: "E"}  # E depends on the features' bins
    metadata = {**exported.metadata(), "comment": comment}
    of_inputs, of_outputs = ({name: axes[name] for name in names} for names in (inputs, outputs))
    _export(exported, (example, *states), file, metadata, of_inputs, of_outputs)


def quantise(file: Path, quantised: Path) -> None:
    """Write an ONNX model whose matrix products are of 8-bit integers; convolutions stay in float32.

    Quantised convolutions are slower on CPUs and cost more errors. Weights take 7 of the 8 bits: processors
    without VNNI add two products in 16 bits, and 2 * 255 * 127 doesn't fit. With 8 bits the log-probabilities
    differed ten times as much from those of float32.
    """
    quantization = _import("onnxruntime.quantization")
    logging.getLogger().setLevel(logging.ERROR)  # it advises preprocessing on the root logger
    with whole_file(quantised) as partial:
        quantization.quantize_dynamic(
            str(file),
            str(partial),
            op_types_to_quantize=["MatMul"],
            weight_type=quantization.QuantType.QInt8,
            reduce_range=True,
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
            todo="pip install -e '.[export]'",
        ) from None

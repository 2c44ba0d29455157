"""The acoustic model as a file that needs no asrkit: ONNX or TorchScript, traced from the model itself."""

from pathlib import Path
from typing import Dict, Tuple

import torch
from torch import Tensor, nn

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
        log_probs, lens = self.model(self.model.normalise(x), x_lens)
        return log_probs, lens.to(torch.int64)


def _example(model: AcousticModel) -> Tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor(EXAMPLE_FRAMES)
    return torch.randn(len(lengths), max(EXAMPLE_FRAMES), model.bins, generator=generator), lengths


def export_torchscript(model: AcousticModel, file: Path) -> None:
    """Write the model as TorchScript, whole or not at all."""
    with torch.no_grad(), whole_file(file) as partial:
        traced = torch.jit.trace(Exported(model).eval(), _example(model), check_trace=False)
        torch.jit.save(traced, str(partial))


def export_onnx(model: AcousticModel, file: Path, metadata: Dict[str, str]) -> None:
    """Write the model as ONNX in float32, whole or not at all.

    Inputs x (N, T, C) float32, x_lens (N) int64; outputs log_probs (N, T', V), lens (N) int64: sherpa-onnx's
    kind zipformer_ctc (offline-zipformer-ctc-model.cc), which takes them by position.
    """
    names = {"input_names": ["x", "x_lens"], "output_names": ["log_probs", "lens"]}
    axes = {"x": {0: "N", 1: "T"}, "x_lens": {0: "N"}, "log_probs": {0: "N", 1: "T_out"}, "lens": {0: "N"}}
    with torch.no_grad(), whole_file(file) as partial:
        torch.onnx.export(
            Exported(model).eval(),
            _example(model),
            str(partial),
            opset_version=OPSET,
            dynamic_axes=axes,
            **names,
            **({"dynamo": False} if torch.__version__ >= "2.5" else {}),
        )

"""On a GPU, transcribe forked after CUDA had started, and methods that use the model found it on the GPU."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

pytest.importorskip("lhotse")

from click.testing import CliRunner

from asrkit.cli.transcribe import command
from asrkit.config import DecodeConfig
from asrkit.decode.methods import UtteranceDecoder
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.model.device import device_of
from asrkit.recognise import opening
from asrkit.recognise.opening import TorchEncoder
from tests.corpus.sound import write_audio
from tests.train.tiny import MODEL, UNITS


def test_several_processes_with_a_gpu_are_refused(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        write_audio(tmp_path / name, np.zeros(16000))
    arguments = [str(tmp_path), "--exp", str(tmp_path / "exp"), "--device", "cuda", "--nj", "2"]
    error = CliRunner().invoke(command, arguments).exception
    assert isinstance(error, UserError) and error.found == "--nj 2 with --device cuda"
    assert "leave --nj out" in error.todo


def test_methods_keep_their_model_on_the_cpu() -> None:
    model = AcousticModel(msgspec.structs.replace(MODEL, transducer=True), 20, len(UNITS)).eval()
    method = "transducer-greedy"
    decoder = UtteranceDecoder(DecodeConfig(methods=(method,)), UNITS, model=model)
    TorchEncoder(model, "meta")
    found = decoder.decode("u", torch.zeros(5, 3), {method: np.zeros((1, 0))}, torch.randn(5, 16))
    assert np.isfinite(found[method][0].scores).all()
    assert next(model.parameters()).device.type == "cpu"


def test_on_the_cpu_there_is_one_model() -> None:
    model = AcousticModel(MODEL, 20, 3)
    assert TorchEncoder(model, "cpu")._model is model


def test_convolutions_on_a_gpu_are_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AcousticModel, "to", lambda self, device: self)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for use in (lambda: opening.TorchEncoder(AcousticModel(MODEL, 20, 3), "cuda"), lambda: device_of("cuda")):
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
        use()
        assert not torch.backends.cudnn.allow_tf32

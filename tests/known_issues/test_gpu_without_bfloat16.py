"""On a GPU without bfloat16, such as a V100, even training in float32 failed: torch 1.13's autocast refuses
bfloat16 there even if it is disabled."""

import msgspec
import pytest
import torch

from asrkit.config import DecodeConfig, TrainConfig
from asrkit.errors import UserError
from asrkit.model import device
from asrkit.model.device import Gpu, autocast
from asrkit.stages import average, decode, train
from tests.pipeline.toy import settings

V100 = Gpu("Tesla V100", has_bfloat16=False)


@pytest.fixture(autouse=True)
def v100(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: V100.name)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: False)
    monkeypatch.setattr(device, "find_gpu", lambda: V100)


def test_float32_needs_no_bfloat16() -> None:
    with autocast("float32", torch.device("cuda", 0)):
        assert not torch.is_autocast_enabled()
    assert torch.ones(2).matmul(torch.ones(2)).dtype == torch.float32


def test_bfloat16_is_refused_before_training() -> None:
    train.check(msgspec.structs.replace(settings(), train=TrainConfig(precision="float16")))
    with pytest.raises(
        UserError, match=r"train\.precision is bfloat16, and torch .* on Tesla V100"
    ) as caught:
        train.check(msgspec.structs.replace(settings(), train=TrainConfig(precision="bfloat16")))
    assert "--set train.precision=float16" in caught.value.todo


@pytest.mark.parametrize("stage", [average, decode])
@pytest.mark.parametrize("where", ["auto", "cuda"])
def test_bfloat16_is_refused_before_decoding(stage: object, where: str) -> None:
    def check(**given: str) -> None:
        config = DecodeConfig(methods=("greedy",), **given)  # type: ignore[arg-type]
        stage.check(msgspec.structs.replace(settings(), decode=config))  # type: ignore[attr-defined]

    check(device="cpu", precision="bfloat16")
    check(device=where, precision="float32")
    with pytest.raises(
        UserError, match=r"decode\.precision is bfloat16, and torch .* on Tesla V100"
    ) as caught:
        check(device=where, precision="bfloat16")
    assert "--set decode.precision=float32" in caught.value.todo


def test_the_gpu_is_looked_for_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = device.find_gpu()
    assert (found is None) is not torch.cuda.is_available()

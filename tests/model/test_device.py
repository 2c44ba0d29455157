import pytest
import torch

from asrkit.errors import UserError
from asrkit.model.device import device_of, move


def test_the_device_is_a_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of("cpu") == torch.device("cpu")
    assert device_of("auto") == torch.device("cuda", 0) and device_of("cuda", 3) == torch.device("cuda", 1)


def test_cuda_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("auto") == torch.device("cpu")
    with pytest.raises(UserError, match=r"decode\.device is cuda, and torch .* finds no GPU"):
        device_of("cuda")


def test_what_is_there_already_is_not_copied() -> None:
    tensor = torch.ones(3)
    assert move(tensor, torch.device("cpu")) is tensor
    assert move(tensor, torch.device("meta")).device.type == "meta"

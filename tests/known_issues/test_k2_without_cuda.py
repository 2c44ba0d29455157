"""On a GPU with k2 built without CUDA, k2's losses failed at the first step, and doctor gave no warning."""

import msgspec
import pytest

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytest.importorskip("lhotse")

import k2
import torch

from asrkit.config import DecodeConfig, TrainConfig
from asrkit.errors import UserError
from asrkit.model import device
from asrkit.model.device import Gpu
from asrkit.onboarding import doctor
from asrkit.onboarding.doctor import diagnose
from asrkit.stages import average, decode, train
from tests.pipeline.toy import settings

LOSSES = (TrainConfig(ctc="k2"), TrainConfig(criterion="lf-mmi"), TrainConfig(criterion="transducer"))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k2, "with_cuda", False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: None)
    monkeypatch.setattr(device, "find_gpu", lambda: Gpu("H100", has_bfloat16=True))


@pytest.mark.parametrize("loss", LOSSES)
def test_its_losses_are_refused_before_training_starts(gpu: None, loss: TrainConfig) -> None:
    config = msgspec.structs.replace(settings(), train=loss, decode=DecodeConfig(methods=("greedy",)))
    for stage in (train, average):
        with pytest.raises(UserError, match=r"train\..*, on a GPU, and k2 has no CUDA") as caught:
            stage.check(config)
        assert "asrkit doctor" in caught.value.todo
    decode.check(config)  # the search then runs on the CPU
    on_the_cpu = DecodeConfig(methods=("greedy",), device="cpu")
    average.check(msgspec.structs.replace(config, decode=on_the_cpu))


def test_they_are_accepted_on_a_cpu_and_with_cuda(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    config = msgspec.structs.replace(settings(), train=LOSSES[0])
    train.check(msgspec.structs.replace(settings(), train=TrainConfig()))
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        train.check(config)
    monkeypatch.setattr(k2, "with_cuda", True)
    train.check(config)
    average.check(config)


@pytest.mark.parametrize(("is_there", "state"), [(True, "warn"), (False, "ok")])
def test_doctor_warns_beside_a_gpu(
    gpu: None, monkeypatch: pytest.MonkeyPatch, is_there: bool, state: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: is_there)
    monkeypatch.setattr(doctor, "_gpu", lambda: doctor.Finding("ok", "gpu", ""))
    (finding,) = [each for each in diagnose() if each.subject == "k2"]
    assert finding.state == state and ("without CUDA" in finding.text) is is_there
    assert bool(finding.todo) is is_there

"""train_throughput --device cuda failed before the first step, and its time included empty steps and
nvidia-smi."""

import importlib
from types import ModuleType, SimpleNamespace
from typing import Any, List

import msgspec
import pytest

pytest.importorskip("lhotse")

import torch

from asrkit.config import FeaturesConfig, TrainConfig
from asrkit.model import description
from asrkit.model.acoustic import AcousticModel
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.train import loop
from asrkit.train.world import ALONE
from tests.pipeline.toy import settings
from tests.train.tiny import MODEL

STEPS = 3
TINY = msgspec.structs.replace(
    settings(), model=MODEL, features=FeaturesConfig(bins=8), train=TrainConfig(batch_duration=1600.0)
)


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    module = importlib.import_module("train_throughput")
    monkeypatch.setattr(module, "matrix_rate", lambda *_: 1.0)
    return module


def test_a_batch_for_each_step_is_full(benchmark: ModuleType) -> None:
    batches = benchmark.make_batches(TINY, STEPS)
    seconds = [len(batch) * max(example.seconds for example in batch) for batch in batches]
    assert len(batches) == STEPS and min(seconds) > 0.5 * 1600 and max(seconds) <= 1600


def test_every_timed_step_holds_audio(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    config = msgspec.structs.replace(TINY, train=TrainConfig(batch_duration=400.0))
    audio: List[float] = []

    def take(training: Any, state: Any, batches: Any, progress: float) -> None:
        audio.append(sum(example.seconds for batch in batches for example in batch))

    monkeypatch.setattr(loop, "take_step", take)
    monkeypatch.setattr(benchmark, "convolution_rate", lambda *_: 1.0)
    measured = benchmark.train(config, STEPS, ALONE, "cpu")
    assert len(audio) == STEPS + benchmark.WARM_UP and all(audio)
    assert measured.audio == pytest.approx(sum(audio[benchmark.WARM_UP :]))


def test_describing_the_model_and_nvidia_smi_are_not_timed(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: List[str] = []

    def log(event: str, value: Any = None) -> Any:
        return lambda *_, **__: events.append(event) or value

    monkeypatch.setattr(description, "describe_model", log("describe", []))
    monkeypatch.setattr(AcousticModel, "to", log("to"))
    monkeypatch.setattr(loop, "take_step", log("step"))
    monkeypatch.setattr(torch.cuda, "synchronize", log("wait"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 1)
    monkeypatch.setattr(benchmark, "time", SimpleNamespace(perf_counter=log("clock", 1.0)))
    monkeypatch.setattr(benchmark, "gpu_utilisation", log("nvidia-smi", "99 %"))
    config = msgspec.structs.replace(TINY, train=TrainConfig(batch_duration=10.0))
    assert benchmark.train(config, 1, ALONE, "cuda").utilisation == "99 %"
    timed = ["clock", "step", "wait", "clock"]
    assert events == ["describe", "to", *["step"] * benchmark.WARM_UP, "wait", *timed, "nvidia-smi"]


def test_steps_go_on_while_nvidia_smi_runs(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    started = benchmark.subprocess.Popen
    looks = ["sh", "-c", "sleep 0.2; echo 97 %; echo 0 %"]
    monkeypatch.setattr(benchmark.subprocess, "Popen", lambda command, **given: started(looks, **given))
    steps: List[int] = []
    assert benchmark.gpu_utilisation(lambda: steps.append(1)) == "97 %"
    assert steps

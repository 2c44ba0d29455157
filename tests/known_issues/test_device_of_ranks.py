"""Training by several processes with GPUs was recorded as trained on the processor."""

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("lhotse")

import msgspec

from asrkit.config import TrainConfig
from asrkit.pipeline.experiment import Experiment
from asrkit.train import session
from tests.pipeline.toy import settings


@pytest.mark.parametrize("processes", [1, 2])
def test_the_device_is_that_of_rank_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    def train(experiment: Experiment, world: SimpleNamespace) -> str:
        return f"GPU {world.rank}"

    monkeypatch.setattr(session, "_train", train)
    monkeypatch.setattr(session, "join_world", lambda rank, size, meet: SimpleNamespace(rank=rank))
    for name in ("read_jsonl", "write_tensorboard", "write_picture"):
        monkeypatch.setattr(session, name, lambda *arguments: [])
    config = msgspec.structs.replace(settings(), train=TrainConfig(processes=processes))
    assert session.train(Experiment(config, tmp_path, tmp_path, tmp_path, 1)) == "GPU 0"

from pathlib import Path

import pytest
import torch

from asrkit.train.checkpoint import Checkpoints, TrainState, choose_epochs, list_epochs, save_epoch


def test_the_best_and_the_last_epochs_are_kept(tmp_path: Path) -> None:
    """Ties in errors are resolved by loss, ties in loss by the later epoch."""
    figures = [(9, 1.0), (3, 0.5), (3, 0.4), (3, 0.4), (5, 0.1), (6, 0.1), (7, 0.1)]
    model = torch.nn.Linear(1, 1)
    log = [{"epoch": epoch, "errors": of[0], "loss": of[1]} for epoch, of in enumerate(figures, start=1)]
    for row in log:
        save_epoch(tmp_path / f"epoch-{row['epoch']:04d}.safetensors", model, row)
    checkpoints = Checkpoints(tmp_path, {}, torch.optim.SGD(model.parameters(), 1.0))
    checkpoints.prune(TrainState(kept=choose_epochs(log, keep_best=2, keep_last=2)))
    assert [row["epoch"] for _, row in list_epochs(tmp_path)] == [3, 4, 6, 7]
    checkpoints.prune(TrainState(kept=choose_epochs(log, keep_best=1, keep_last=1)))
    assert [row["epoch"] for _, row in list_epochs(tmp_path)] == [4, 7]


def test_only_rank_0_reports_a_damaged_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    ranks = [Checkpoints(tmp_path, {"model": model}, optimizer, is_main=rank == 0) for rank in range(3)]
    for rank in reversed(ranks):
        rank.save(TrainState(step=3))
    (tmp_path / "resume-00000006.safetensors").write_bytes(b"half")
    found = [rank.load(rank.list_resumable()) for rank in ranks]
    assert found == [TrainState(step=3)] * 3
    assert capsys.readouterr().out.count("ignoring damaged checkpoint resume-00000006.safetensors") == 1

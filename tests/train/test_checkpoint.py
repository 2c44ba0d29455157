from pathlib import Path

import pytest
import torch

from asrkit.train.checkpoint import (
    Position,
    choose_epochs,
    list_epochs,
    list_points,
    load_point,
    prune,
    save_epoch,
    save_point,
)


def test_the_best_and_the_last_epochs_are_kept(tmp_path: Path) -> None:
    """Of equal errors the lower loss is better, of equal losses the later epoch."""
    figures = [(9, 1.0), (3, 0.5), (3, 0.4), (3, 0.4), (5, 0.1), (6, 0.1), (7, 0.1)]
    model = torch.nn.Linear(1, 1)
    log = [{"epoch": epoch, "errors": of[0], "loss": of[1]} for epoch, of in enumerate(figures, start=1)]
    for row in log:
        save_epoch(tmp_path / f"epoch-{row['epoch']:04d}.safetensors", model, row)
    prune(tmp_path, Position(kept=choose_epochs(log, keep_best=2, keep_last=2)))
    assert [row["epoch"] for _, row in list_epochs(tmp_path)] == [3, 4, 6, 7]
    prune(tmp_path, Position(kept=choose_epochs(log, keep_best=1, keep_last=1)))
    assert [row["epoch"] for _, row in list_epochs(tmp_path)] == [4, 7]


def test_one_of_several_processes_says_what_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = torch.nn.Linear(1, 1)
    modules, optimizer = {"model": model}, torch.optim.SGD(model.parameters(), 1.0)
    save_point(tmp_path / "resume-00000003.safetensors", Position(step=3), modules, optimizer)
    (tmp_path / "resume-00000006.safetensors").write_bytes(b"half")
    points = list_points(tmp_path)
    found = [load_point(tmp_path, modules, optimizer, points, first=rank == 0) for rank in range(3)]
    assert found == [Position(step=3)] * 3
    assert capsys.readouterr().out.count("resume-00000006.safetensors is damaged and passed over") == 1

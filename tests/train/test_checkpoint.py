from pathlib import Path

import torch

from asrkit.train.checkpoint import list_epochs, prune_epochs, save_epoch


def test_the_best_and_the_last_epochs_are_kept(tmp_path: Path) -> None:
    """Of equal errors the lower loss is better, of equal losses the later epoch."""
    figures = [(9, 1.0), (3, 0.5), (3, 0.4), (3, 0.4), (5, 0.1), (6, 0.1), (7, 0.1)]
    model = torch.nn.Linear(1, 1)
    for epoch, (errors, loss) in enumerate(figures, start=1):
        file = tmp_path / f"epoch-{epoch:04d}.safetensors"
        save_epoch(file, model, {"epoch": epoch, "errors": errors, "loss": loss})
    prune_epochs(tmp_path, keep_best=2, keep_last=2)
    assert [row["epoch"] for _, row in list_epochs(tmp_path)] == [3, 4, 6, 7]
    prune_epochs(tmp_path, keep_best=1, keep_last=1)
    assert [row["epoch"] for _, row in list_epochs(tmp_path)] == [4, 7]

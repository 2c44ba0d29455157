from pathlib import Path

import torch

from asrkit.train.curves import write_picture, write_tensorboard
from asrkit.train.watch import Utilisation

DEV = {"loss": 0.6, "errors": 3, "words": 10}
TRAIN = {"train_loss": 0.7, "blank_share": 0.5, "gradient_norm": 2.0, "learning_rate": 1e-3, "skipped": 0}
USED = {"audio_rate": 90.0, "step_share": 0.8, "finished": 0.0}
ROW = {"epoch": 1, "step": 9, **DEV, **TRAIN, **USED}


def test_the_log_is_plotted(tmp_path: Path) -> None:
    file = tmp_path / "curves.png"
    write_picture(file, [ROW])
    one = file.read_bytes()
    assert one.startswith(b"\x89PNG")
    write_picture(file, [ROW, {**ROW, "epoch": 2, "loss": 0.4}])
    assert file.read_bytes() != one
    assert list(tmp_path.iterdir()) == [file]


def test_tensorboard_gets_utilisation(tmp_path: Path) -> None:
    write_tensorboard(tmp_path / "tensorboard", [ROW])
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    assert b"utilisation/audio_rate" in content and b"utilisation/step_share" in content
    assert b"peak_memory" not in content  # no GPU


def test_utilisation_counts_from_its_start() -> None:
    used = Utilisation()
    used.add_step(seconds=0.0, audio_seconds=0.0)
    row = used.row(torch.device("cpu"))
    assert row == {"audio_rate": 0.0, "step_share": 0.0}

"""The training log as tensorboard events and as a picture."""

import shutil
from pathlib import Path
from typing import Any, Dict, List

from asrkit.storage.files import whole_file

CURVES = {  # panel of the picture to its curves, each a column of the log or "dev_wer"
    "loss a frame": ("train_loss", "loss"),
    "dev, greedy: word error rate in %": ("dev_wer",),
    "learning rate": ("learning_rate",),
    "largest gradient norm": ("gradient_norm",),
    "share of blank": ("blank_share",),
}
NAMES = {"train_loss": "train", "loss": "dev"}


def write_tensorboard(directory: Path, log: List[Dict[str, Any]]) -> None:
    """Write loss and dev errors an epoch; replaces what is there, so that a resumed run has no gaps."""
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(directory, ignore_errors=True)
    with SummaryWriter(str(directory)) as writer:
        for row in log:
            step, time = row["step"], row["finished"]
            writer.add_scalar("loss/train", row["train_loss"], step, walltime=time)
            writer.add_scalar("loss/dev", row["loss"], step, walltime=time)
            if "decoder_loss" in row:
                writer.add_scalar("loss/dev_decoder", row["decoder_loss"], step, walltime=time)
            for name in ("blank_share", "gradient_norm", "learning_rate", "skipped"):
                writer.add_scalar(f"train/{name}", row[name], step, walltime=time)
            for name in ("audio_rate", "step_share", "peak_memory"):
                if name in row:  # the last one on a GPU only
                    writer.add_scalar(f"utilisation/{name}", row[name], step, walltime=time)
            writer.add_scalar("dev/greedy_word_error_rate", _word_error_rate(row), step, walltime=time)


def write_picture(file: Path, log: List[Dict[str, Any]]) -> None:
    """Draw the curves of the log over epochs into a PNG, whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), layout="constrained")
    FigureCanvasAgg(figure)  # no window, whatever the user's settings
    epochs = [row["epoch"] for row in log]
    for number, (title, columns) in enumerate(CURVES.items(), start=1):
        axes = figure.add_subplot(2, 3, number, title=title, xlabel="epoch")
        for column in columns:
            values = [_word_error_rate(row) if column == "dev_wer" else row[column] for row in log]
            axes.plot(epochs, values, marker=".", label=NAMES.get(column))
        if len(columns) > 1:
            axes.legend()
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    with whole_file(file) as temporary:
        figure.savefig(temporary, format="png")


def _word_error_rate(row: Dict[str, Any]) -> float:
    return 100.0 * row["errors"] / max(1, row["words"])

"""The training log as TensorBoard events and as a plot."""

import shutil
from pathlib import Path
from typing import Any, Dict, List

from asrkit.storage.files import whole_file
from asrkit.train.evaluate import word_error_rate

CURVES = {  # title of each panel: its curves, columns of the log or "dev_wer"
    "loss per frame": ("train_loss", "loss"),
    "dev WER (greedy), %": ("dev_wer",),
    "learning rate": ("learning_rate",),
    "largest gradient norm": ("gradient_norm",),
    "blank probability": ("blank_share",),
}
NAMES = {"train_loss": "train", "loss": "dev"}
TAGS = {
    "train_loss": "loss/train",
    "loss": "loss/dev",
    "decoder_loss": "loss/dev_decoder",  # with model.decoder_blocks
    **{name: f"train/{name}" for name in ("blank_share", "gradient_norm", "learning_rate", "skipped")},
    **{name: f"utilisation/{name}" for name in ("audio_rate", "step_share", "peak_memory")},  # last: on a GPU
    "dev_wer": "dev/greedy_word_error_rate",
}


def write_tensorboard(directory: Path, log: List[Dict[str, Any]]) -> None:
    """Write one event per epoch and value. Replaces the directory: a resumed run leaves no gaps."""
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(directory, ignore_errors=True)
    with SummaryWriter(str(directory)) as writer:
        for row in log:
            values = {**row, "dev_wer": word_error_rate(row)}
            for column, tag in TAGS.items():
                if column in values:
                    writer.add_scalar(tag, values[column], row["step"], walltime=row["finished"])


def write_picture(file: Path, log: List[Dict[str, Any]]) -> None:
    """Plot the log over epochs as a PNG, written atomically."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), layout="constrained")
    FigureCanvasAgg(figure)  # no window, whatever backend is configured
    epochs = [row["epoch"] for row in log]
    for number, (title, columns) in enumerate(CURVES.items(), start=1):
        axes = figure.add_subplot(2, 3, number, title=title, xlabel="epoch")
        for column in columns:
            values = [word_error_rate(row) if column == "dev_wer" else row[column] for row in log]
            axes.plot(epochs, values, marker=".", label=NAMES.get(column))
        if len(columns) > 1:
            axes.legend()
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    with whole_file(file) as temporary:
        figure.savefig(temporary, format="png")

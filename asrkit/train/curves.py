"""The training log as tensorboard events."""

import shutil
from pathlib import Path
from typing import Any, Dict, List


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
            rate = 100 * row["errors"] / max(1, row["words"])
            writer.add_scalar("dev/greedy_word_error_rate", rate, step, walltime=time)

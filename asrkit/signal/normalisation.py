"""Global mean and variance of the training features."""

import math
from pathlib import Path
from typing import Any, Mapping, Sequence

import torch

from asrkit.errors import UserError
from asrkit.signal.filterbank import STEPS
from asrkit.storage.tensors import save_tensors

# A bin that hardly varies (above the band of upsampled telephone speech) carries rounding noise
# alone; below this deviation it isn't blown up to the size of speech, whose bins have 2 to 4.
LEAST_DEVIATION = 0.5


def write_normalisation(file: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write "mean" and "inverse_deviation", float32 of shape (bins,), from the sums of shards."""
    frames = sum(record["frames"] for record in records)
    if frames < 2:
        raise UserError(
            f"{frames} frames of training audio", expected="some training audio", where=str(file.parent)
        )
    sums = [sum(of_bin) for of_bin in zip(*(record["sum"] for record in records))]
    squares = [sum(of_bin) for of_bin in zip(*(record["sum_of_squares"] for record in records))]
    mean = [total / frames / STEPS for total in sums]
    # Python's whole numbers have no limit, so nothing is lost in the difference.
    spread = [frames * square - total * total for total, square in zip(sums, squares)]
    inverse = [1.0 / max(math.sqrt(value) / frames / STEPS, LEAST_DEVIATION) for value in spread]
    tensors = {"mean": torch.tensor(mean), "inverse_deviation": torch.tensor(inverse)}
    save_tensors(file, tensors, {"frames": frames})

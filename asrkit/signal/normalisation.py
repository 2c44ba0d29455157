"""Mean and standard deviation of the training features, and normalisation by them."""

import math
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

import torch
from torch import Tensor

from asrkit.errors import UserError
from asrkit.signal.filterbank import STEPS
from asrkit.storage.tensors import save_tensors

# A bin that hardly varies, such as those above the band of upsampled telephone speech, holds only rounding
# noise: this floor keeps it from being scaled up to the size of speech, whose bins have 2 to 4.
STD_FLOOR = 0.5


class Normalisation(NamedTuple):
    """By the training features' mean and deviation, then by each utterance's own mean if wanted.

    The latter is cepstral mean normalisation (CMN): level and channel of a recording no longer matter.
    """

    mean: Tensor  # (bin,)
    inverse_std: Tensor  # (bin,)
    utterance_mean: bool = False

    def __call__(self, features: Tensor) -> Tensor:
        """Normalised features (time, bin)."""
        normalised = (features - self.mean) * self.inverse_std
        return normalised - normalised.mean(dim=0) if self.utterance_mean else normalised


def write_normalisation(file: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write "mean" and "inverse_deviation" (the inverse std), float32 (bin,), from the sums of shards.

    Raises UserError for less than two frames.
    """
    frames = sum(record["frames"] for record in records)
    if frames < 2:
        raise UserError(
            f"{frames} frames of training audio", expected="some training audio", where=str(file.parent)
        )
    sums, squares = (
        [sum(of_bin) for of_bin in zip(*(record[name] for record in records))]
        for name in ("sum", "sum_of_squares")
    )
    mean = [total / frames / STEPS for total in sums]
    # Python's integers are unbounded, so the difference is exact
    variances = [frames * square - total * total for total, square in zip(sums, squares)]
    inverse_std = [1.0 / max(math.sqrt(variance) / frames / STEPS, STD_FLOOR) for variance in variances]
    tensors = {"mean": torch.tensor(mean), "inverse_deviation": torch.tensor(inverse_std)}
    save_tensors(file, tensors, {"frames": frames})

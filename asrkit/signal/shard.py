"""Features of some hundred utterances in one file: int16 rows, read through lhotse."""

from pathlib import Path
from typing import Any, List, Optional, Sequence

import numpy as np
from lhotse.features.io import FeaturesReader, register_reader

from asrkit.errors import UserError
from asrkit.signal.filterbank import from_steps
from asrkit.storage.files import write_bytes

STORAGE_TYPE = "asrkit_shard"


def write_shard(file: Path, matrices: Sequence[np.ndarray]) -> List[str]:
    """Write int16 matrices of shape (frames, bins) one after the other; gives each one's key."""
    keys: List[str] = []
    first_row = 0
    for matrix in matrices:
        frames, bins = matrix.shape
        keys.append(f"{first_row},{frames},{bins}")
        first_row += frames
    write_bytes(file, b"".join(matrix.astype("<i2").tobytes() for matrix in matrices))
    return keys


def read_rows(file: Path, key: str, left: int = 0, right: Optional[int] = None) -> np.ndarray:
    """Frames `left` to `right` of the matrix under `key`, float32 of shape (frames, bins)."""
    first_row, frames, bins = map(int, key.split(","))
    end = frames if right is None else min(right, frames)
    count = max(end - left, 0) * bins
    try:
        steps = np.fromfile(file, dtype="<i2", count=count, offset=2 * (first_row + left) * bins)
    except OSError as error:
        raise UserError(
            f"can't read features: {error}",
            expected="a file that stage features wrote",
            where=str(file),
            todo="run stage features again",
        ) from None
    if len(steps) != count:
        raise UserError(
            f"{file} ends early: found {len(steps)} numbers, expected {count}",
            expected="a file that stage features wrote",
            where=str(file),
            todo="delete it and run stage features again",
        )
    return from_steps(steps.reshape(-1, bins))


@register_reader
class ShardReader(FeaturesReader):  # type: ignore[misc]
    """Lets lhotse's cuts load features from shards."""

    name = STORAGE_TYPE

    def __init__(self, storage_path: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.file = Path(storage_path)

    def read(
        self, key: str, left_offset_frames: int = 0, right_offset_frames: Optional[int] = None
    ) -> np.ndarray:
        """Frames of one utterance, float32 of shape (frames, bins)."""
        return read_rows(self.file, key, left_offset_frames, right_offset_frames)

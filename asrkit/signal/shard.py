"""One file of features: int16 matrices (time, bin) one after the other, read through lhotse."""

from pathlib import Path
from typing import Any, List, Optional, Sequence

import numpy as np
from lhotse.features.io import FeaturesReader, register_reader

from asrkit.errors import UserError
from asrkit.signal.filterbank import from_steps
from asrkit.storage.files import write_bytes

STORAGE_TYPE = "asrkit_shard"


def write_shard(file: Path, matrices: Sequence[np.ndarray]) -> List[str]:
    """Write int16 matrices (time, bin); returns their keys, "first row,frames,bins"."""
    keys: List[str] = []
    first_row = 0
    for matrix in matrices:
        frames, bins = matrix.shape
        keys.append(f"{first_row},{frames},{bins}")
        first_row += frames
    write_bytes(file, b"".join(matrix.astype("<i2").tobytes() for matrix in matrices))
    return keys


def read_rows(file: Path, key: str, left: int = 0, right: Optional[int] = None) -> np.ndarray:
    """Frames `left` to `right` of the matrix under `key`: float32 (time, bin). Raises UserError."""
    first_row, frames, bins = map(int, key.split(","))
    end = frames if right is None else min(right, frames)
    count = max(end - left, 0) * bins
    try:
        steps = np.fromfile(file, dtype="<i2", count=count, offset=2 * (first_row + left) * bins)
        if len(steps) != count:
            raise EOFError(f"{len(steps)} of {count} values before the end of the file")
    except (OSError, EOFError) as error:
        todo = "delete it and run stage features again"
        raise UserError(
            f"can't read features: {error}", "a file that stage features wrote", str(file), todo
        ) from None
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
        """Features of one utterance: float32 (time, bin)."""
        return read_rows(self.file, key, left_offset_frames, right_offset_frames)

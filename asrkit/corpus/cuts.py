"""The rows of manifests that stages write, checked when they are read back."""

from pathlib import Path
from typing import Annotated, Any, Iterator, List, Literal, Optional

import msgspec

from asrkit.errors import UserError
from asrkit.storage.files import iterate_jsonl


class Supervision(msgspec.Struct):
    """What asrkit reads of a lhotse supervision."""

    id: str
    text: str
    speaker: Optional[str] = None


class _Source(msgspec.Struct):
    source: str


class _Recording(msgspec.Struct):
    id: str
    sources: Annotated[List[_Source], msgspec.Meta(min_length=1)]
    sampling_rate: Annotated[int, msgspec.Meta(gt=0)]
    num_samples: int
    duration: float


class _Cut(msgspec.Struct):
    """What asrkit reads of a lhotse cut."""

    id: str
    start: float
    duration: float
    channel: int
    type: Literal["MonoCut"]
    supervisions: Annotated[List[Supervision], msgspec.Meta(min_length=1, max_length=1)]
    recording: _Recording


class _Features(msgspec.Struct):
    num_frames: int
    num_features: Annotated[int, msgspec.Meta(gt=0)]
    frame_shift: Annotated[float, msgspec.Meta(gt=0)]
    sampling_rate: Annotated[int, msgspec.Meta(gt=0)]
    start: float
    duration: float
    storage_path: str
    storage_key: Annotated[str, msgspec.Meta(pattern=r"^\d+,\d+,[1-9]\d*$")]


class _CutWithFeatures(_Cut):
    features: _Features


def iterate_cuts(file: Path, features_below: Optional[Path] = None) -> Iterator[Any]:
    """Lhotse cuts of one supervision each, of the features those below a folder, if it is given.

    Raises UserError when the file is missing or damaged.
    """
    from lhotse.serialization import deserialize_item

    for row in iterate_jsonl(file, _Cut if features_below is None else _CutWithFeatures):
        try:
            if features_below is not None:
                row["features"]["storage_path"] = str(features_below / row["features"]["storage_path"])
            cut = deserialize_item(row)
        except Exception as error:  # lhotse checks little, so what a changed row leads to can't be listed
            raise UserError(
                f"{file} has a row that is no cut: {error!r}",
                expected="lhotse cuts that a stage wrote",
                where=str(file),
                todo="run.sh, without --stage, regenerates it",
            ) from None
        yield cut

"""The rows of manifests that stages write, checked when they are read back."""

from pathlib import Path
from typing import Annotated, Any, Dict, Iterator, List, Literal, Optional

import msgspec

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.inputs import audio_path
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


def iterate_cuts(file: Path, experiment: Experiment, with_features: bool = False) -> Iterator[Any]:
    """Lhotse cuts of one supervision each, with whole paths of their audio and features.

    Raises UserError when the file is missing or damaged.
    """
    from lhotse.serialization import deserialize_item

    for row in iterate_jsonl(file, _CutWithFeatures if with_features else _Cut):
        try:
            if with_features:
                row["features"]["storage_path"] = str(experiment.place(row["features"]["storage_path"]))
            cut = deserialize_item(with_audio_paths(row, experiment))
        except Exception as error:  # lhotse checks little, so what a changed row leads to can't be listed
            raise UserError(
                f"{file} has a row that is no cut: {error!r}",
                expected="lhotse cuts that a stage wrote",
                where=str(file),
                todo="run.sh, without --stage, regenerates it",
            ) from None
        yield cut


def with_audio_paths(row: Dict[str, Any], experiment: Experiment) -> Dict[str, Any]:
    """A cut's row with the paths of its audio made whole."""
    for source in row["recording"]["sources"]:
        source["source"] = str(audio_path(source["source"], experiment))
    return row

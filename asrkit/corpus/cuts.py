"""Read back the cuts that stages wrote."""

from pathlib import Path
from typing import Annotated, Any, Dict, Iterator, List, Literal, Optional

import msgspec

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.inputs import audio_path
from asrkit.storage.files import iterate_jsonl, read_jsonl


class Supervision(msgspec.Struct):
    """The fields of a supervision that asrkit uses."""

    id: str
    text: str
    speaker: Optional[str] = None


class _Recording(msgspec.Struct):
    sources: Annotated[List[Dict[str, Any]], msgspec.Meta(min_length=1)]
    sampling_rate: Annotated[int, msgspec.Meta(gt=0)]


class _Cut(msgspec.Struct):
    """The fields of a cut that lhotse doesn't check."""

    start: float
    duration: float
    type: Literal["MonoCut"]
    supervisions: Annotated[List[Supervision], msgspec.Meta(min_length=1, max_length=1)]
    recording: _Recording


class _Features(msgspec.Struct):
    num_frames: int
    frame_shift: Annotated[float, msgspec.Meta(gt=0)]
    storage_path: str
    storage_key: Annotated[str, msgspec.Meta(pattern=r"^\d+,\d+,[1-9]\d*$")]


class _CutWithFeatures(_Cut):
    features: _Features


def read_transcripts(experiment: Experiment, split: str) -> List[str]:
    """The texts of a split's utterances; UserError if missing or damaged."""
    rows = read_jsonl(experiment.folder("manifests") / f"{split}_supervisions.jsonl.gz", Supervision)
    return [str(row["text"]) for row in rows]


def iterate_cuts(file: Path, experiment: Experiment, with_features: bool = False) -> Iterator[Any]:
    """Lhotse cuts with one supervision each and absolute paths; UserError if missing or damaged."""
    from lhotse.serialization import deserialize_item

    for row in iterate_jsonl(file, _CutWithFeatures if with_features else _Cut):
        try:
            if with_features:
                row["features"]["storage_path"] = str(experiment.place(row["features"]["storage_path"]))
            cut = deserialize_item(with_audio_paths(row, experiment))
        except Exception as error:  # lhotse checks little, so an edited row can raise anything
            found = f"{file} has a row that isn't a cut: {error!r}"
            todo = "run.sh, without --stage, regenerates it"
            raise UserError(found, "lhotse cuts that a stage wrote", str(file), todo) from None
        yield cut


def with_audio_paths(row: Dict[str, Any], experiment: Experiment) -> Dict[str, Any]:
    """A cut with absolute audio paths."""
    for source in row["recording"]["sources"]:
        source["source"] = str(audio_path(source["source"], experiment))
    return row

"""Lhotse manifests of the utterances that can be used."""

import collections
import contextlib
from pathlib import Path
from typing import Annotated, Any, Dict, Iterator, List, Literal, Optional, Sequence, Tuple

import msgspec

from asrkit.corpus.validation import ValidUtterance
from asrkit.errors import UserError
from asrkit.storage.files import iterate_jsonl, jsonl_gz_writer


class _Supervision(msgspec.Struct):
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
    supervisions: Annotated[List[_Supervision], msgspec.Meta(min_length=1, max_length=1)]
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


def write_manifests(directory: Path, split: str, utterances: Sequence[ValidUtterance]) -> None:
    """Write {split}_recordings, _supervisions and _cuts.jsonl.gz; the same bytes for the same corpus.

    Each cut is one utterance with one supervision, and bears the hash of its recording's samples.
    Recordings are mono.
    """
    from lhotse.qa import validate, validate_recordings_and_supervisions

    with contextlib.ExitStack() as stack:
        names = ("recordings", "supervisions", "cuts")
        files = [directory / f"{split}_{name}.jsonl.gz" for name in names]
        write_recording, write_supervision, write_cut = (
            stack.enter_context(jsonl_gz_writer(file)) for file in files
        )
        for recording, supervision, cut in lhotse_objects(utterances):
            validate_recordings_and_supervisions(cut.recording, supervision)
            validate(cut)
            row = cut.to_dict()  # of all that a row is made with, this takes the longest
            if recording is not None:
                write_recording(row["recording"])
            write_supervision({**row["supervisions"][0], "start": supervision.start})
            write_cut(row)


def read_cuts(directory: Path, split: str) -> Iterator[Any]:
    """The lhotse cuts that write_manifests wrote; raises UserError when they are missing or damaged."""
    return iterate_cuts(directory / f"{split}_cuts.jsonl.gz")


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


def lhotse_objects(utterances: Sequence[ValidUtterance]) -> Iterator[Tuple[Optional[Any], Any, Any]]:
    """Recording, supervision and cut of each utterance; no recording where an earlier one had it.

    A recording bears the id of the first utterance in it.
    """
    from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment

    to_come = collections.Counter(valid.utterance.audio for valid in utterances)
    recordings: Dict[Path, Any] = {}  # those that later utterances lie in too
    for valid in utterances:
        utterance, rate = valid.utterance, valid.audio.sampling_rate
        known = recordings.get(utterance.audio)
        recording = known or Recording(
            id=utterance.id,
            sources=[AudioSource(type="file", channels=[0], source=str(utterance.audio))],
            sampling_rate=rate,
            num_samples=valid.audio.samples,
            duration=valid.audio.samples / rate,
        )
        recordings[utterance.audio] = recording
        to_come[utterance.audio] -= 1
        if not to_come[utterance.audio]:
            del recordings[utterance.audio]
        start, duration = valid.first_sample / rate, valid.samples / rate
        supervision = SupervisionSegment(
            id=utterance.id,
            recording_id=recording.id,
            start=start,
            duration=duration,
            channel=0,
            text=valid.text,
            speaker=utterance.speaker,
        )
        custom: Dict[str, Any] = {"audio_content": valid.audio.content}
        if utterance.snr is not None:
            custom["snr"] = utterance.snr
        cut = MonoCut(
            id=utterance.id,
            start=start,
            duration=duration,
            channel=0,
            supervisions=[supervision.with_offset(-start)],
            recording=recording,
            custom=custom,
        )
        yield None if known else recording, supervision, cut

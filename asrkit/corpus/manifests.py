"""Lhotse manifests of the utterances that can be used."""

from pathlib import Path
from typing import Any, Dict, Iterable, List, Sequence, Tuple

from asrkit.corpus.validation import ValidUtterance
from asrkit.storage.files import read_jsonl, write_jsonl_gz


def write_manifests(directory: Path, split: str, utterances: Sequence[ValidUtterance]) -> None:
    """Write {split}_recordings, _supervisions and _cuts.jsonl.gz; the same bytes for the same corpus.

    Each cut is one utterance with one supervision, and bears the hash of its recording's samples.
    Recordings are mono.
    """
    from lhotse import CutSet, RecordingSet, SupervisionSet
    from lhotse.qa import validate, validate_recordings_and_supervisions

    recordings, supervisions, cuts = lhotse_objects(utterances)
    recording_set = RecordingSet.from_recordings(recordings)
    supervision_set = SupervisionSet.from_segments(supervisions)
    validate_recordings_and_supervisions(recording_set, supervision_set)
    validate(CutSet.from_cuts(cuts))
    for name, items in (("recordings", recordings), ("supervisions", supervisions), ("cuts", cuts)):
        write_jsonl_gz(directory / f"{split}_{name}.jsonl.gz", _rows(items))


def read_cuts(directory: Path, split: str) -> Any:
    """The lhotse CutSet that write_manifests wrote; raises UserError when it is missing or damaged."""
    from lhotse import CutSet
    from lhotse.serialization import deserialize_item

    return CutSet.from_cuts(deserialize_item(row) for row in read_jsonl(directory / f"{split}_cuts.jsonl.gz"))


def lhotse_objects(utterances: Sequence[ValidUtterance]) -> Tuple[List[Any], List[Any], List[Any]]:
    """Recordings, supervisions and cuts. A recording bears the id of the first utterance in it."""
    from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment

    recordings: Dict[Path, Any] = {}
    supervisions: List[Any] = []
    cuts: List[Any] = []
    for valid in utterances:
        utterance, rate = valid.utterance, valid.audio.sampling_rate
        recording = recordings.get(utterance.audio)
        if recording is None:
            recording = recordings[utterance.audio] = Recording(
                id=utterance.id,
                sources=[AudioSource(type="file", channels=[0], source=str(utterance.audio))],
                sampling_rate=rate,
                num_samples=valid.audio.samples,
                duration=valid.audio.samples / rate,
            )
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
        supervisions.append(supervision)
        inside = supervision.with_offset(-start)
        custom: Dict[str, Any] = {"audio_content": valid.audio.content}
        if utterance.snr is not None:
            custom["snr"] = utterance.snr
        cuts.append(
            MonoCut(
                id=utterance.id,
                start=start,
                duration=duration,
                channel=0,
                supervisions=[inside],
                recording=recording,
                custom=custom,
            )
        )
    return list(recordings.values()), supervisions, cuts


def _rows(items: Iterable[Any]) -> Iterable[Dict[str, Any]]:
    return (item.to_dict() for item in items)

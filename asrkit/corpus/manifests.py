"""Write and read the lhotse manifests of the valid utterances."""

import collections
import contextlib
import math
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple

from asrkit.corpus.cuts import iterate_cuts
from asrkit.corpus.validation import ValidUtterance
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.inputs import audio_source
from asrkit.storage.files import jsonl_gz_writer

Row = Dict[str, Any]


def write_manifests(experiment: Experiment, split: str, utterances: Sequence[ValidUtterance]) -> None:
    """Write {split}_recordings, _supervisions and _cuts.jsonl.gz; reproducible bytes.

    Each cut is one utterance with one supervision and has the hash of its recording's samples as a custom
    field. Recordings are mono. Audio paths are relative to the corpus's folder, so a corpus can move.
    """
    with contextlib.ExitStack() as stack:
        names = ("recordings", "supervisions", "cuts")
        files = [experiment.folder("manifests") / f"{split}_{name}.jsonl.gz" for name in names]
        write_recording, write_supervision, write_cut = (
            stack.enter_context(jsonl_gz_writer(file)) for file in files
        )
        for recording, supervision, cut in manifest_rows(utterances):
            if recording is not None:
                (source,) = recording["sources"]
                source["source"] = audio_source(Path(source["source"]), experiment)
                write_recording(recording)
            write_supervision(supervision)
            write_cut(cut)


def read_cuts(experiment: Experiment, split: str) -> Iterator[Any]:
    """The lhotse cuts of a split, with absolute paths; raises UserError if missing or damaged."""
    return iterate_cuts(experiment.folder("manifests") / f"{split}_cuts.jsonl.gz", experiment)


def manifest_rows(utterances: Sequence[ValidUtterance]) -> Iterator[Tuple[Optional[Row], Row, Row]]:
    """Recording, supervision and cut of each utterance; the recording is None if an earlier one had it.

    A recording has the id of its first utterance. The rows are those that lhotse's to_dict gives, which takes
    five times as long.
    """
    pending = collections.Counter(valid.utterance.audio for valid in utterances)
    recordings: Dict[Path, Row] = {}  # those with pending utterances
    for valid in utterances:
        utterance, rate = valid.utterance, valid.audio.sampling_rate
        known = recordings.get(utterance.audio)
        recording: Row = known or {
            "id": utterance.id,
            "sources": [{"type": "file", "channels": [0], "source": str(utterance.audio)}],
            "sampling_rate": rate,
            "num_samples": valid.audio.samples,
            "duration": valid.audio.samples / rate,
            "channel_ids": [0],
        }
        recordings[utterance.audio] = recording
        pending[utterance.audio] -= 1
        if not pending[utterance.audio]:
            del recordings[utterance.audio]
        start = valid.first_sample / rate
        supervision: Row = {
            "id": utterance.id,
            "recording_id": recording["id"],
            "start": start,
            "duration": valid.samples / rate,
            "channel": 0,
            "text": valid.text,
            "speaker": utterance.speaker,
        }
        cut: Row = {
            "id": utterance.id,
            "start": start,
            "duration": valid.samples / rate,
            "channel": 0,
            "supervisions": [{**supervision, "start": 0.0}],
            "recording": recording,
            "custom": {"audio_content": valid.audio.content},
            "type": "MonoCut",
        }
        if utterance.snr is not None and math.isfinite(utterance.snr):  # JSON has no infinity and no NaN
            cut["custom"]["snr"] = utterance.snr
        if utterance.groups:
            cut["custom"]["groups"] = list(utterance.groups)
        yield None if known else recording, supervision, cut

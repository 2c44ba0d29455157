"""If a supervision covered only a part of its cut, its text was used as the transcript of the whole cut."""

import json
import math
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest

from asrkit.config import CorpusConfig
from asrkit.corpus.cut_set import cut_utterances, read_cut_set
from asrkit.corpus.derived_audio import derive_audio
from asrkit.corpus.validation import validate
from tests.corpus.sound import noise, write_audio

Found = List[Tuple[float, float]]


def write(folder: Path, *supervisions: Dict[str, float], **changed: Any) -> Path:
    """A cut from 1 s to 5 s of a recording of 6 s."""
    source = {"type": "file", "channels": [0], "source": "a.wav"}
    recording = {"id": "r", "sources": [source], "sampling_rate": 16000, "num_samples": 96000, "duration": 6}
    cut = {"id": "c", "type": "MonoCut", "start": 1.0, "duration": 4.0, "channel": 0, "recording": recording}
    cut["supervisions"] = [{"id": "c", "text": "one", "speaker": "s", **each} for each in supervisions]
    write_audio(folder / "a.wav", noise(6, 1))
    (folder / "a_cuts.jsonl").write_text(json.dumps({**cut, **changed}) + "\n")
    return folder / "a_cuts.jsonl"


def read(file: Path) -> Tuple[Found, List[str]]:
    """First sample and number of samples of the valid utterances, and kinds of the rejections."""
    config = CorpusConfig(module="cut_set")
    entries = read_cut_set(file, "--cuts", False)
    listed = list(cut_utterances(entries, "train", file.parent, config.max_duration))
    utterances, damaged = derive_audio(listed, config, file.parent / "derived", jobs=1)
    valid, unusable = validate(utterances, config, jobs=1)
    found = [(one.first_sample / 16000, one.samples / 16000) for one in valid]
    return found, [one.kind for one in damaged + unusable]


@pytest.mark.parametrize(
    ("start", "duration", "place"),
    [
        (2.5, 1.0, (3.5, 1.0)),
        (0.0, 3.4, (1.0, 3.4)),
        (-0.5, 2.0, (1.0, 1.5)),
        (3.0, 2.0, (4.0, 1.0)),
        (0.2, 3.6, None),
        (-1.0, 9.0, None),
    ],
)
def test_a_cut_is_trimmed_to_its_supervision(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    start: float,
    duration: float,
    place: Optional[Tuple[float, float]],
) -> None:
    file = write(tmp_path, {"start": start, "duration": duration})
    assert read(file) == ([place or (1.0, 4.0)], [])
    line = "a_cuts.jsonl: 1 cuts trimmed to their supervisions\n"
    assert capsys.readouterr().out == (line if place else "")


def test_derived_audio_is_trimmed_too(tmp_path: Path) -> None:
    """The audio is derived because its volume is changed."""
    file = write(tmp_path, {"start": 2.5, "duration": 1.0})
    row = json.loads(file.read_text())
    row["recording"]["transforms"] = [{"name": "Volume", "kwargs": {"factor": 0.5}}]
    file.write_text(json.dumps(row) + "\n")
    assert read(file) == ([(0.0, 1.0)], [])


def test_other_cuts_are_not_trimmed(tmp_path: Path) -> None:
    assert read(write(tmp_path, {})) == ([(1.0, 4.0)], [])
    assert read(write(tmp_path, {"start": 0, "duration": 1}, channel=[0], type="MultiCut"))[0] == [(0.0, 4.0)]
    both = ({"start": 0, "duration": 1}, {"start": 2, "duration": 1})
    assert read(write(tmp_path, *both)) == ([], ["other than one supervision"])


@pytest.mark.parametrize(
    ("start", "duration"), [(5, 1), (-2, 1), (1, 0), (1, -1), (1e300, 1), (math.nan, 1), (0, math.nan)]
)
def test_a_supervision_outside_its_cut_is_reported(tmp_path: Path, start: float, duration: float) -> None:
    file = write(tmp_path, {"start": start, "duration": duration})
    assert read(file) == ([], ["supervision outside its cut"])

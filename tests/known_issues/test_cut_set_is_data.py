"""A CutSet ran a shell command through a transform of a recording: it is read as data, with bounds."""

import gzip
import json
import os
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import lhotse
import numpy as np
import pytest
import soundfile

from asrkit.config.recipe import CorpusConfig
from asrkit.corpus import cut_manifest, cut_set
from asrkit.corpus.cut_set import cut_utterances, read_cut_set
from asrkit.corpus.derived_audio import derive_audio
from asrkit.corpus.rejection import Rejection
from asrkit.corpus.validation import ValidUtterance, validate
from asrkit.errors import UserError
from tests.corpus.sound import noise, write_audio

DAY = 24 * 3600.0
Row = Dict[str, Any]


def recording(id: str = "r", source: str = "a.wav", kind: str = "file", **changed: Any) -> Row:
    sources = [{"type": kind, "channels": [0], "source": source}]
    plain = {"id": id, "sources": sources, "sampling_rate": 16000, "num_samples": 16000, "duration": 1.0}
    return {**plain, **changed}


def cut(id: str = "evil", **changed: Any) -> Row:
    spoken = {"id": id, "recording_id": "r", "start": 0.0, "duration": 1.0, "channel": 0}
    spoken.update(text="one two", speaker="s", duration=changed.get("duration", 1.0))
    plain = {"id": id, "start": 0.0, "duration": 1.0, "channel": 0, "type": "MonoCut"}
    return {**plain, "supervisions": [spoken], "recording": recording(), **changed}


def mixed(*others: Row, id: str = "evil", **changed: Any) -> Row:
    tracks = [{"cut": cut(id), "type": "MonoCut", "offset": 0.0}, *others]
    return {"id": id, "type": "MixedCut", "tracks": tracks, **changed}


def track(offset: float = 0.0, **changed: Any) -> Row:
    return {"cut": cut(supervisions=[], **changed), "type": "MonoCut", "offset": offset, "snr": 10}


def reverberation(rir: Row) -> List[Row]:
    return [{"name": "ReverbWithImpulseResponse", "kwargs": {"rir": rir, "rir_channels": [0]}}]


def speed(factor: float) -> List[Row]:
    return [{"name": "Speed", "kwargs": {"factor": factor}}]


def read(folder: Path, *rows: Row, allow_pipes: bool = False) -> Tuple[List[ValidUtterance], List[Rejection]]:
    """Valid and rejected utterances of these cuts and of a valid cut after them."""
    write_audio(folder / "a.wav", noise(1, 1))
    file = folder / "train_cuts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, cut("good")]))
    config = CorpusConfig(module="cut_set")
    entries = read_cut_set(file, "--cuts", allow_pipes)
    listed = list(cut_utterances(entries, "train", folder, config.max_duration))
    utterances, damaged = derive_audio(listed, config, folder / "derived", jobs=2)
    valid, unusable = validate(utterances, config, jobs=1)
    return valid, damaged + unusable


def ids(valid: List[ValidUtterance]) -> List[str]:
    return [one.utterance.id for one in valid]


COMMANDS: Dict[str, Callable[[Row], Row]] = {
    "the recording": lambda evil: cut(recording=evil),
    "a track": lambda evil: mixed(track(recording=evil)),
    "a transform": lambda evil: cut(recording=recording(transforms=reverberation(evil))),
    "a transform of a transform": lambda evil: cut(
        recording=recording(transforms=reverberation(recording(transforms=reverberation(evil))))
    ),
    "a transform of a mixture": lambda evil: mixed(track(), transforms=reverberation(evil)),
    "a transform of a track": lambda evil: mixed(track(recording=recording(transforms=reverberation(evil)))),
}


@pytest.mark.parametrize("place", COMMANDS)
def test_commands_are_refused_anywhere_in_a_cut(tmp_path: Path, place: str) -> None:
    evil = recording(source=f"touch {tmp_path}/ran; cat a.wav", kind="command")
    with pytest.raises(UserError, match=r"(?s)1 recordings are piped commands.*evil \(cut 1\): touch"):
        read(tmp_path, COMMANDS[place](evil))
    assert not (tmp_path / "ran").exists()


def test_an_allowed_command_runs_in_the_corpus_folder(tmp_path: Path) -> None:
    allowed = recording(source="touch ran; cat a.wav", kind="command")
    valid, rejected = read(tmp_path, cut(recording=allowed), allow_pipes=True)
    assert (ids(valid), rejected) == (["evil", "good"], [])
    assert (tmp_path / "ran").exists()
    assert len(os.listdir(tmp_path / "derived")) == 1


@pytest.mark.parametrize("field", ["custom", "features", "target_recording", "alignment"])
def test_unused_fields_of_a_cut_are_not_built(tmp_path: Path, field: str) -> None:
    evil = recording(source=f"touch {tmp_path}/ran", kind="command")
    features = {"type": "x", "storage_type": "pickle", "storage_path": "/", "num_features": 1, "x": evil}
    valid, _ = read(
        tmp_path, mixed(track(custom={"x": evil, "y": features})), cut("b", **{field: {"x": evil}})
    )
    assert ids(valid) == ["evil", "b", "good"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["url", "memory", "shar", "other"])
@pytest.mark.parametrize("place", COMMANDS)
def test_other_kinds_of_sources_are_listed_with_id_and_place(tmp_path: Path, place: str, kind: str) -> None:
    evil = recording(source="http://localhost:9/a.wav", kind=kind)
    valid, (rejected,) = read(tmp_path, COMMANDS[place](evil))
    assert (ids(valid), rejected.id, rejected.kind) == (["good"], "evil", "unusable cut")
    assert rejected.detail.startswith(f"line 1: Invalid enum value '{kind}' - at `$.")
    assert rejected.text == "one two"


FILES: Dict[str, str] = {
    "/proc/self/environ": "not a regular file",
    "/sys/kernel/notes": "not a regular file",
    "/dev/zero": "not a regular file",
    "/dev/stdin": "not a regular file",
    "pipe": "not a regular file",
    "to_pipe.wav": "not a regular file",
    "to_proc.wav": "not a regular file",
    "folder": "a folder instead of an audio file",
    "../secret.wav": "path outside the corpus",
    "folder/../../secret.wav": "path outside the corpus",
    "http://localhost:9/a.wav": "missing audio file",
    "a.wav\0b": "unreadable audio file",
}


@pytest.mark.parametrize("derived", [False, True])
@pytest.mark.parametrize("source", FILES)
def test_only_regular_files_are_audio(tmp_path: Path, source: str, derived: bool) -> None:
    folder = tmp_path / "corpus"
    write_audio(tmp_path / "secret.wav", noise(1, 2))
    (folder / "folder").mkdir(parents=True)
    os.mkfifo(folder / "pipe")
    (folder / "to_pipe.wav").symlink_to("pipe")
    (folder / "to_proc.wav").symlink_to("/proc/self/environ")
    row = cut(recording=recording(source=source, transforms=speed(1.1) if derived else None))
    valid, (rejected,) = read(folder, row)
    assert ids(valid) == ["good"]
    expected = "missing audio file" if not Path(source).exists() and source[0] == "/" else FILES[source]
    assert (rejected.id, rejected.kind) == ("evil", expected)


def test_paths_inside_the_folder_and_absolute_paths_are_audio(tmp_path: Path) -> None:
    folder, other = tmp_path / "corpus", write_audio(tmp_path / "other.wav", noise(1, 2))
    folder.mkdir()
    (folder / "link.wav").symlink_to(other)
    rows = [
        cut(source, recording=recording(source=source)) for source in ("x/../a.wav", str(other), "link.wav")
    ]
    assert read(folder, *rows)[1] == []


HUGE: Dict[str, Row] = {
    "offset of a track": mixed(track(offset=DAY)),
    "offset without end": mixed(track(offset=float("inf"))),
    "offset before the beginning": mixed(track(offset=-DAY)),
    "padding": mixed(
        {"cut": {"id": "p", "duration": DAY, "sampling_rate": 16000, "num_samples": 1}, "type": "PaddingCut"}
    ),
    "many tracks": mixed(*[track() for _ in range(1001)]),
    "long tracks": mixed(*[track(duration=39.0, recording=recording(duration=39.0)) for _ in range(99)]),
    "duration": cut(duration=DAY, recording=recording(duration=DAY, transforms=speed(0.9))),
    "duration of a file": cut(duration=DAY, recording=recording(duration=DAY)),
    "years": cut(duration=1e9),
    "no number": cut(start=float("nan")),
    "number of samples": cut(recording=recording(num_samples=1 << 60)),
    "sampling rate": cut(recording=recording(sampling_rate=1 << 40)),
    "no sampling rate": cut(recording=recording(sampling_rate=0)),
    "speed": cut(recording=recording(transforms=speed(1e-9))),
    "many transforms": cut(recording=recording(transforms=speed(0.5) * 99)),
    "filter": cut(recording=recording(transforms=speed(0.99994))),
    "volume": cut(recording=recording(transforms=[{"name": "Volume", "kwargs": {"factor": float("nan")}}])),
    "unknown transform": cut(recording=recording(transforms=[{"name": "Narrowband", "kwargs": {}}])),
    "random room": cut(
        recording=recording(
            transforms=[{"name": "ReverbWithImpulseResponse", "kwargs": {"rir_generator": {"sr": 1 << 40}}}]
        )
    ),
    "channels": cut(
        recording=recording(sources=[{"type": "file", "channels": list(range(999)), "source": "a.wav"}])
    ),
    "text for a number": cut(start="0"),
    "mixture in a mixture": mixed({"cut": mixed(), "type": "MixedCut"}),
}


@pytest.mark.parametrize("what", HUGE)
def test_huge_cuts_are_refused_before_audio_is_read(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("audio was read")

    monkeypatch.setattr(cut_set, "open_whole", never)
    valid, (rejected,) = read(tmp_path, HUGE[what])
    assert (ids(valid), rejected.id) == (["good"], "evil")
    assert rejected.kind in ("unusable cut", "too long", "unusable sampling rate")
    assert not (tmp_path / "derived").exists()


def test_a_manifest_with_the_wrong_length_or_rate(tmp_path: Path) -> None:
    write_audio(tmp_path / "slow.wav", noise(1, 3, 8000), 8000)
    rows = [
        cut("end", duration=1.4),
        cut("far", duration=1.6),
        cut("derived-end", duration=1.4, recording=recording(transforms=speed(1.0))),
        cut("derived-far", duration=1.6, recording=recording(transforms=speed(1.0))),
        cut("rate", recording=recording(source="slow.wav", transforms=speed(1.1))),
        cut("liar", recording=recording(duration=9.0, transforms=speed(1.1)), duration=9.0),
    ]
    valid, rejected = read(tmp_path, *rows)
    assert [(one.utterance.id, one.samples) for one in valid] == [
        *(("end", 16000), ("derived-end", 16000), ("good", 16000)),
    ]
    assert {one.id: one.kind for one in rejected} == {
        "far": "segment outside its audio",
        "derived-far": "segment outside its audio",
        "rate": "other sampling rate",
        "liar": "not readable audio",
    }


def test_a_small_file_with_hours_of_audio_is_not_read_into_memory(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.flac", np.zeros(1 << 16, np.int16), 16000)
    content = bytearray((tmp_path / "long.flac").read_bytes())
    content[18:26] = (int.from_bytes(content[18:26], "big") >> 36 << 36 | 1 << 35).to_bytes(8, "big")
    (tmp_path / "long.flac").write_bytes(content)
    _, (rejected,) = read(tmp_path, cut(recording=recording(source="long.flac", transforms=speed(1.0))))
    assert rejected.kind == "too long"


def test_mixtures_are_those_of_lhotse(tmp_path: Path) -> None:
    write_audio(tmp_path / "noise.wav", noise(1, 5))
    other, room = recording(source="noise.wav"), reverberation(recording(source="noise.wav"))
    rows = {
        "mixed": mixed(track(0.25, id="x", recording=other), id="mixed"),
        "padded": mixed(
            {
                "cut": {
                    "id": "p",
                    "duration": 0.5,
                    "sampling_rate": 16000,
                    "num_samples": 8000,
                    "feat_value": 0,
                },
                "type": "PaddingCut",
                "offset": 1.0,
            },
            id="padded",
        ),
        "room": cut("room", recording=recording(transforms=room)),
        "fast": cut(
            "fast",
            duration=0.8,
            recording=recording(duration=0.8, num_samples=12800, transforms=speed(1.25)),
        ),
        "loud": cut("loud", recording=recording(transforms=[{"name": "Volume", "kwargs": {"factor": 2.0}}])),
    }
    valid, rejected = read(tmp_path, *rows.values())
    assert rejected == []
    for one in valid[:-1]:
        row = json.loads(json.dumps(rows[one.utterance.id]))
        expected = lhotse.CutSet.from_dicts([row]).with_recording_path_prefix(tmp_path)[0]
        for transform in expected.recording.transforms or [] if one.utterance.id == "room" else []:
            transform.rir = transform.rir.with_path_prefix(tmp_path)
        found, _ = soundfile.read(one.utterance.audio, dtype="float32")
        # Fourier transforms are rounded differently by different numbers of threads
        np.testing.assert_allclose(found, expected.load_audio()[0], rtol=0, atol=1e-6)


def test_each_text_format_is_read(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", noise(1, 1))
    rows = [cut("a"), mixed(track(), id="b")]
    for name in ("c.jsonl", "c.jsonl.gz", "c.json", "c.json.gz", "c.yaml", "c.yaml.gz"):
        lhotse.CutSet.from_dicts(json.loads(json.dumps(rows))).to_file(tmp_path / name)
        entries = read_cut_set(tmp_path / name, "--cuts", False)
        assert [(each.id, each.supervisions[0].text, each.snr) for each in entries] == [
            ("a", "one two", None),
            ("b", "one two", 10.0),
        ]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b"[" * 100_000 + b"\n", "line 1: too many nested lists"),
        ("a.json", b"[" * 100_000, "too many nested lists"),
        ("a.yaml", b"[" * 1000, "more than 100 levels"),
        ("a.yaml", b"a: &a [x]\nb: [*a, *a]\n", "aliases"),
        ("a.yaml", b"!!python/object/apply:os.system ['touch ran']", "could not determine a constructor"),
        ("a.yaml", b"- !!python/object/apply:os.system ['touch ran']", "could not determine a constructor"),
        ("a.jsonl", b'{"id": "' + b"x" * 5000 + b'"}\n', "line 1 is longer than"),
        ("a.jsonl.gz", gzip.compress(b"\n\n" + b"x" * 5000, mtime=0), "line 3 is longer than"),
        ("a.json", b" " * 5000, "more than 4096 bytes"),
        ("a.jsonl.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\0\0", "damaged gzip file"),
        ("a.jsonl.gz", b"no gzip", "Not a gzipped file"),
        ("a.jsonl", b"\xff\xfe\n", "line 1: "),
        ("a.jsonl", b'{"id": 7, "type": "MonoCut"}\n', "line 1: Expected `str`, got `int` - at `$.id`"),
        ("a.jsonl", b'{"id": "a", "type": "Pickle"}\n', "line 1: Invalid enum value 'Pickle'"),
        ("a.json", b'{"id": "a"}', "not a list of cuts"),
        ("pipe:touch ran; cat x.jsonl", None, "no such file"),
    ],
)
def test_a_malformed_manifest_is_refused(
    tmp_path: Path, name: str, content: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cut_manifest, "LONGEST_LINE", 4096)
    if "too many" not in words:
        monkeypatch.setattr(cut_manifest, "LARGEST_DOCUMENT", 4096)
    else:
        monkeypatch.setattr(cut_manifest, "LONGEST_LINE", 1 << 24)
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_cut_set(Path(name), "--cuts", True)
    assert words in caught.value.found
    assert not Path("ran").exists()

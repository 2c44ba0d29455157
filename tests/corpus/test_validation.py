"""Bad utterances are rejected one by one with their reason, and all others are kept."""

import os
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from asrkit.corpus.manifests import read_cuts
from asrkit.errors import UserError
from asrkit.stages import manifests
from asrkit.storage.files import read_jsonl
from tests.corpus.sound import SmallCorpus, kinds, noise, write_audio


def truncate(file: Path) -> None:
    """Cut a file in half."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def link_loop(file: Path) -> None:
    """A symbolic link to itself."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to(file.name)


BAD_AUDIO = {
    "truncated.wav": (lambda file: truncate(write_audio(file, noise(1, 1))), "truncated"),
    "truncated.sph": (lambda file: truncate(write_audio(file, noise(1, 2))), "truncated"),
    "truncated.flac": (lambda file: truncate(write_audio(file, noise(1, 3))), "truncated"),
    "none.wav": (lambda file: write_audio(file, np.zeros(0)), "no samples"),
    "nan.wav": (
        lambda file: write_audio(file, np.where(np.arange(9000) == 70, np.nan, 0.1), subtype="FLOAT"),
        "NaN or infinite samples",
    ),
    "infinite.wav": (
        lambda file: write_audio(file, np.where(np.arange(9000) == 70, np.inf, 0.1), subtype="FLOAT"),
        "NaN or infinite samples",
    ),
    "stereo.wav": (lambda file: write_audio(file, noise(1, 4, channels=2)), "more than one channel"),
    "telephone.wav": (
        lambda file: write_audio(file, noise(1, 5, rate=8000), rate=8000),
        "other sampling rate",
    ),
    "silent.wav": (lambda file: write_audio(file, np.zeros(9000)), "silence"),
    "missing.wav": (lambda file: None, "missing audio file"),
    "folder.wav": (lambda file: file.mkdir(parents=True), "a folder instead of an audio file"),
    "loop.wav": (link_loop, "unreadable audio file"),
    "pipe.wav": (lambda file: os.mkfifo(file), "not a regular file"),
    "empty.wav": (lambda file: file.write_bytes(b""), "empty file"),
    "text.wav": (lambda file: file.write_text("this is not audio at all\n" * 99), "not readable audio"),
    "short.wav": (lambda file: write_audio(file, noise(0.05, 6)), "too short"),
    "long.wav": (lambda file: write_audio(file, noise(3.1, 7)), "too long"),
}


@pytest.mark.parametrize("name", BAD_AUDIO)
def test_bad_audio_is_rejected_with_its_reason(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, kind = BAD_AUDIO[name]
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 3, "dev": 1, "test": 1})
    make(corpus.directory / "train" / name)
    corpus.add("bad", "train", audio=f"train/{name}")
    experiment = corpus.experiment(corpus={"max_duration": 3.0})
    manifests.run(experiment)
    rows = read_jsonl(experiment.folder("manifests") / "rejected.jsonl")
    assert kinds(rows) == {"bad": kind}
    assert rows[0]["split"] == "train"
    assert [cut.id for cut in read_cuts(experiment, "train")] == [
        "train-00",
        "train-01",
        "train-02",
    ]
    assert [(row["text"], row["speaker"]) for row in rows] == [("ONE TWO", "speaker-train")]
    assert f"train: 1 rejected: {kind}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "empty text"),
        ("   ", "empty text"),
        ("ONE\x07TWO", "control characters in text"),
        ("ONE\x85TWO", "control characters in text"),
        ("\ufeffONE", "control characters in text"),
        ("ONE \ufffd", "control characters in text"),
    ],
)
def test_bad_text_is_rejected(tmp_path: Path, text: str, kind: str) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 2, "dev": 1, "test": 1})
    corpus.add("bad", "train", text=text)
    experiment = corpus.experiment()
    manifests.run(experiment)
    assert kinds(read_jsonl(experiment.folder("manifests") / "rejected.jsonl")) == {"bad": kind}


@pytest.mark.parametrize("length", [0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_written_to_a_pipe_is_accepted(tmp_path: Path, length: int) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 2, "dev": 1, "test": 1})
    file = corpus.directory / "train" / "train-00.wav"
    content = bytearray(file.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = length.to_bytes(4, "little")
    file.write_bytes(content)
    experiment = corpus.experiment()
    manifests.run(experiment)
    assert read_jsonl(experiment.folder("manifests") / "rejected.jsonl") == []
    assert {cut.duration for cut in read_cuts(experiment, "train")} == {0.5}


def test_other_sampling_rate_names_found_and_expected(tmp_path: Path) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 2, "dev": 1, "test": 1})
    write_audio(corpus.directory / "8k.wav", noise(1, 1, rate=8000), rate=8000)
    corpus.add("bad", "train", audio="8k.wav")
    experiment = corpus.experiment()
    manifests.run(experiment)
    reason = read_jsonl(experiment.folder("manifests") / "rejected.jsonl")[0]["reason"]
    assert "found 8000 Hz, expected 16000 Hz" in reason


def test_a_duplicate_id_is_rejected_even_in_another_split(tmp_path: Path) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 2, "dev": 1, "test": 1})
    corpus.add("train-00", "train", text="OTHER", audio="train/train-00.wav")
    corpus.add("train-01", "test")
    experiment = corpus.experiment()
    manifests.run(experiment)
    rows = read_jsonl(experiment.folder("manifests") / "rejected.jsonl")
    assert [(row["id"], row["split"], row["kind"]) for row in rows] == [
        ("train-00", "train", "duplicate id"),
        ("train-01", "test", "duplicate id"),
    ]
    texts = {cut.id: cut.supervisions[0].text for cut in read_cuts(experiment, "train")}
    assert texts == {"train-00": "WORD TRAIN", "train-01": "WORD TRAIN"}


@pytest.mark.parametrize(
    ("start", "duration"), [(0.4, 0.7), (-0.1, 0.3), (0.0, 0.0), ("nan", 0.2), (0.6, "")]
)
def test_segment_outside_its_audio_is_rejected(tmp_path: Path, start: float, duration: float) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 2, "dev": 1, "test": 1})
    corpus.add("bad", "train", start=start, duration=duration)
    experiment = corpus.experiment()
    manifests.run(experiment)
    assert kinds(read_jsonl(experiment.folder("manifests") / "rejected.jsonl")) == {
        "bad": "segment outside its audio"
    }


def test_segments_of_one_recording_share_it(tmp_path: Path) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 1, "dev": 1, "test": 1})
    write_audio(corpus.directory / "long.flac", noise(5, 1))
    corpus.add("a", "train", audio="long.flac", start=0.5, duration=1.5)
    corpus.add("b", "train", audio="long.flac", start=2.0)
    experiment = corpus.experiment()
    manifests.run(experiment)
    cuts = {cut.id: cut for cut in read_cuts(experiment, "train")}
    assert (cuts["a"].start, cuts["a"].duration) == (0.5, 1.5)
    assert (cuts["b"].start, cuts["b"].duration) == (2.0, 3.0)
    assert cuts["a"].recording.id == cuts["b"].recording.id
    assert len(read_jsonl(experiment.folder("manifests") / "train_recordings.jsonl.gz")) == 2


def test_too_many_rejections_are_an_error_and_leave_the_list(tmp_path: Path) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 9, "dev": 1, "test": 1})
    corpus.add("bad", "train", text="")
    experiment = corpus.experiment(corpus={"max_bad_fraction": 0.05})
    with pytest.raises(UserError, match=r"(?s)1 of 10 utterances of train can't be used:.*bad: empty text"):
        manifests.run(experiment)
    assert kinds(read_jsonl(experiment.folder("manifests") / "rejected.jsonl")) == {"bad": "empty text"}
    assert not (experiment.folder("manifests") / "train_cuts.jsonl.gz").exists()


def test_losses_from_a_test_set_are_reported_as_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 2, "dev": 1, "test": 2})
    corpus.add("bad", "test", audio="missing.wav")
    manifests.run(corpus.experiment())
    assert "WARNING: 1 utterance of test set test can't be used" in capsys.readouterr().out


def test_whole_corpus_at_another_rate_is_accepted(tmp_path: Path) -> None:
    corpus = SmallCorpus(tmp_path)
    for split in ("train", "dev", "test"):
        write_audio(corpus.directory / f"{split}.wav", noise(1, len(split), rate=8000), rate=8000)
        corpus.add(split, split, audio=f"{split}.wav")
    experiment = corpus.experiment()
    manifests.run(experiment)
    assert read_jsonl(experiment.folder("manifests") / "rejected.jsonl") == []


@pytest.mark.parametrize(
    ("case", "expected"), [("upper", "ÉTÉ STRASSE"), ("lower", "été straße"), ("as-is", "Été straße")]
)
def test_case_and_unicode_form(tmp_path: Path, case: str, expected: str) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"dev": 1, "test": 1})
    corpus.add("one", "train", text="E\u0301te\u0301  straße")
    experiment = corpus.experiment(corpus={"case": case})
    manifests.run(experiment)
    assert [cut.supervisions[0].text for cut in read_cuts(experiment, "train")] == [expected]


def test_real_sphere_files_are_valid_and_a_truncated_one_is_not(
    corpora: Callable[[str], Path], tmp_path: Path
) -> None:
    whole = sorted(corpora("an4").rglob("*.sph"))[0]
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"dev": 1, "test": 1})
    corpus.directory.mkdir(exist_ok=True)
    (corpus.directory / "whole.sph").write_bytes(whole.read_bytes())
    (corpus.directory / "cut.sph").write_bytes(whole.read_bytes()[:-2])
    corpus.add("whole", "train", audio="whole.sph")
    corpus.add("cut", "train", audio="cut.sph")
    experiment = corpus.experiment()
    manifests.run(experiment)
    assert kinds(read_jsonl(experiment.folder("manifests") / "rejected.jsonl")) == {"cut": "truncated"}

"""Kaldi data directories: segments, commands, export in C order, errors with line numbers."""

import re
from pathlib import Path
from typing import Dict, List

import pytest

from asrkit.cli.export_kaldi import export
from asrkit.corpus.kaldi import read_data_directory
from asrkit.corpus.utterance import Utterance
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY, Experiment
from asrkit.stages import manifests
from asrkit.storage.files import read_jsonl
from tests.corpus.sound import SmallCorpus, experiment_over, kinds, noise, write_audio

FILES = {
    "wav.scp": "r1 a/one.wav\nr2 /data/x/../two.flac\n",
    "segments": "u1 r1 0.5 1.25\nu2 r1 1.25 2\nu3 r2 0 1\n",
    "text": "u1 ONE TWO\nu2 THREE\nu3 FOUR\n",
    "utt2spk": "u1 s1\nu2 s1\nu3 s2\n",
}


def write(folder: Path, **changed: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    replaced = {name.replace("_", "."): content for name, content in changed.items()}
    for name, content in {**FILES, **replaced}.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def read(folder: Path, allow_pipes: bool = False) -> List[Utterance]:
    return list(read_data_directory(folder, "train", Path("/corpus"), allow_pipes))


def test_groups_of_speakers(tmp_path: Path) -> None:
    known = {"spk2gender": "s1 F\ns2 m\n", "spk2age": "s1 15\ns2 16\n", "spk2accent": "s2 New  Zealand\n"}
    one, two, three = read(write(tmp_path, **known))
    assert one.groups == two.groups == ("gender f", "age up to 15")
    assert three.groups == ("gender m", "age over 15", "accent new zealand")


def test_segments_and_both_kinds_of_paths(tmp_path: Path) -> None:
    one, two, three = read(write(tmp_path))
    assert (one.id, one.text, one.speaker, one.split) == ("u1", "ONE TWO", "s1", "train")
    assert (one.audio, one.start, one.duration) == (Path("/corpus/a/one.wav"), 0.5, 0.75)
    assert (two.start, two.duration) == (1.25, 0.75)
    assert three.audio == Path("/data/two.flac")


def test_a_recording_missing_in_text_has_an_empty_text(tmp_path: Path) -> None:
    found = read(write(tmp_path / "segments", text="u1 ONE TWO\nu3 FOUR\n"))
    assert [(one.id, one.text, one.speaker) for one in found] == [
        ("u1", "ONE TWO", "s1"),
        ("u3", "FOUR", "s2"),
        ("u2", "", "s1"),
    ]
    folder = write(tmp_path / "recordings", text="r1 ONE\n", utt2spk="r1 s1\n")
    (folder / "segments").unlink()
    assert [(one.id, one.text, one.speaker) for one in read(folder)] == [
        ("r1", "ONE", "s1"),
        ("r2", "", "unknown"),
    ]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"segments": "u1 r1 0.5 1.25\nu2 r9 0 1\nu3 r2 0 1\n"}, "r9 is not in wav.scp|segments, line 2"),
        ({"segments": "u1 r1 0.5 1.25\nu2 r1 0\nu3 r2 0 1\n"}, "the line u2 r1 0|segments, line 2"),
        ({"segments": "u1 r1 0.5 1.25\n"}, "u2 has no segment|text, line 2"),
        ({"text": "u1 ONE\nu1 TWO\n"}, "a second line for u1; the first is line 1|text, line 2"),
        ({"utt2spk": "u1 s1\nu3 s2\n"}, "u2 has no speaker|text, line 2"),
        ({"wav_scp": "r1 a.wav\nr2 sph2pipe b.sph |\n"}, "line 2: sph2pipe b.sph ||allow_pipes"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, changed: Dict[str, str], words: str) -> None:
    folder = write(tmp_path, **changed)
    with pytest.raises(UserError) as caught:
        read(folder)
    found, _, where = words.rpartition("|")
    assert found in str(caught.value)
    assert where in str(caught.value)


def pipes(tmp_path: Path) -> SmallCorpus:
    """A corpus with a piped recording of two utterances, and one with a failing command."""
    corpus = SmallCorpus(tmp_path)
    (tmp_path / "local" / "kaldi.py").write_text((REPOSITORY / "local" / "kaldi.py").read_text())
    source = write_audio(tmp_path / "source.wav", noise(2, 1))
    for split, seed in (("dev", 2), ("test", 3)):
        audio = write_audio(corpus.directory / f"{split}.wav", noise(1, seed))
        lines = {"wav_scp": f"r {audio}\n", "segments": f"{split} r 0 1\n"}
        write(corpus.directory / split, text=f"{split} ONE\n", utt2spk=f"{split} s\n", **lines)
    commands = f"r1 cat {source}; touch {tmp_path}/ran |\nr2 echo lost >&2; exit 3 |\n"
    write(corpus.directory / "train", wav_scp=commands)
    return corpus


def experiment(corpus: SmallCorpus, allow_pipes: bool) -> Experiment:
    return experiment_over(corpus.root, corpus={"module": "kaldi", "allow_pipes": allow_pipes})


def test_commands_need_allow_pipes(tmp_path: Path) -> None:
    corpus = pipes(tmp_path)
    with pytest.raises(UserError, match=r"(?s)2 recordings are piped commands:\s+line 1: cat"):
        manifests.run(experiment(corpus, allow_pipes=False))
    assert not (tmp_path / "ran").exists()


def test_output_of_an_allowed_command_is_used_and_a_failed_command_is_a_rejection(tmp_path: Path) -> None:
    allowed = experiment(pipes(tmp_path), allow_pipes=True)
    manifests.run(allowed)
    assert (tmp_path / "ran").exists()
    rows = read_jsonl(allowed.folder("manifests") / "rejected.jsonl")
    assert kinds(rows) == {"u3": "command failed"}
    assert "exit status 3; lost" in rows[0]["reason"]
    cuts = read_jsonl(allowed.folder("manifests") / "train_cuts.jsonl.gz")
    places = [(cut["id"], cut["start"], cut["duration"]) for cut in cuts]
    assert places == [("u1", 0.5, 0.75), ("u2", 1.25, 0.75)]


def test_an_export_reads_back_the_same(tmp_path: Path) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 2, "dev": 1, "test": 1})
    write_audio(corpus.directory / "long.flac", noise(3, 1))
    corpus.add("é", "train", text="É UN", audio="long.flac", start=0.1, duration=1.3)
    corpus.add("Z", "train", audio="long.flac", start=1.5)
    made = corpus.experiment()
    manifests.run(made)
    export(made, tmp_path / "data")
    folder = tmp_path / "data" / "train"
    assert (folder / "text").read_text().splitlines() == [
        *("Z ONE TWO", "train-00 WORD TRAIN", "train-01 WORD TRAIN", "é É UN"),
    ]
    assert (folder / "spk2utt").read_text() == "speaker-train Z train-00 train-01 é\n"
    assert not (tmp_path / "data" / "dev" / "segments").exists()
    cuts = {row["id"]: row for row in read_jsonl(made.folder("manifests") / "train_cuts.jsonl.gz")}
    for one in read(folder):
        cut = cuts.pop(one.id)
        (supervision,) = cut["supervisions"]
        assert (one.text, one.speaker) == (supervision["text"], supervision["speaker"])
        assert one.audio == made.corpus_directory / cut["recording"]["sources"][0]["source"]
        assert one.start is not None and round(one.start * 16000) == round(cut["start"] * 16000)
        assert one.duration is not None and round(one.duration * 16000) == round(cut["duration"] * 16000)
    assert cuts == {}


@pytest.mark.parametrize("name", ["rm.wav |", "at 12:30", "a.wav[1:2]"])
def test_paths_with_a_meaning_in_kaldi_are_not_exported(tmp_path: Path, name: str) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 1, "dev": 1})
    (corpus.directory / name).write_bytes(write_audio(tmp_path / "a.wav", noise(1, 1)).read_bytes())
    corpus.add("a", "test", audio=name)
    made = corpus.experiment()
    manifests.run(made)
    with pytest.raises(UserError, match=f"the path .*{re.escape(name)}"):
        export(made, tmp_path / "data")

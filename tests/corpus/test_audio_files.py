"""Which paths are audio files of a corpus: the same checks for every form of listing."""

import os
from pathlib import Path
from typing import Callable, Dict

import pytest

from asrkit.config.recipe import CorpusConfig
from asrkit.corpus.audio import check_file
from asrkit.corpus.utterance import load_corpus_module
from asrkit.corpus.validation import validate
from asrkit.errors import AudioProblem
from asrkit.pipeline.experiment import REPOSITORY
from tests.corpus.sound import noise, write_audio


def as_table(corpus: Path, name: str) -> None:
    (corpus / "a.tsv").write_text(f"path\ttext\tspeaker\tid\n{name}\tone\ts\tu\n")


def as_kaldi(corpus: Path, name: str) -> None:
    for file, line in {"wav.scp": f"u {name}\n", "text": "u one\n", "utt2spk": "u s\n"}.items():
        (corpus / file).write_text(line)


def as_common_voice(corpus: Path, name: str) -> None:
    (corpus / "clips").symlink_to(".")
    (corpus / "train.tsv").write_text(f"client_id\tpath\tsentence\ns\t{name}\tone\n")


FORMS: Dict[str, Callable[[Path, str], None]] = {
    "tsv": as_table,
    "kaldi": as_kaldi,
    "common_voice": as_common_voice,
}
NAMES = {
    "a.wav": "",
    "folder/../a.wav": "",
    "link.wav": "",
    "{root}/other.wav": "",
    "../other.wav": "path outside the corpus",
    "folder/../../other.wav": "path outside the corpus",
    "folder": "a folder instead of an audio file",
    "pipe": "not a regular file",
    "to_zero.wav": "not a regular file",
    "/dev/zero": "not a regular file",
    "/proc/self/environ": "not a regular file",
    "http://localhost:9/a.wav": "missing audio file",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_only_regular_files_of_the_corpus_are_audio(tmp_path: Path, form: str, name: str) -> None:
    corpus = tmp_path / "corpus"
    write_audio(corpus / "a.wav", noise(1, 1))
    write_audio(tmp_path / "other.wav", noise(1, 2))
    (corpus / "folder").mkdir()
    os.mkfifo(corpus / "pipe")
    (corpus / "link.wav").symlink_to("../other.wav")
    (corpus / "to_zero.wav").symlink_to("/dev/zero")
    FORMS[form](corpus, name.format(root=tmp_path))
    config = CorpusConfig(module=form)
    module = load_corpus_module(form, REPOSITORY / "local")
    valid, rejected = validate(list(module.utterances(corpus, config)), config, jobs=1)
    assert [one.kind for one in rejected] == ([NAMES[name]] if NAMES[name] else [])
    assert len(valid) + len(rejected) == 1


@pytest.mark.parametrize(
    ("place", "refused"), [("/proc/x", True), ("/processed/x", False), ("/dev/shm/x", False)]
)
def test_system_folders_and_similar_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, refused: bool
) -> None:
    file = write_audio(tmp_path / "a.wav", noise(1, 1))
    monkeypatch.setattr(os.path, "realpath", lambda _: place)
    if refused:
        with pytest.raises(AudioProblem, match=r"not a regular file: .* is a system file"):
            check_file(file)
    else:
        check_file(file)

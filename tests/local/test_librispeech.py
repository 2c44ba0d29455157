"""LibriSpeech: folders, utterances without text or audio, fetched archives."""

from pathlib import Path
from typing import Any, List

import pytest

from asrkit.config import CorpusConfig, RecipeConfig, load_config
from asrkit.corpus.download import Archive
from asrkit.corpus.utterance import load_corpus_module
from asrkit.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]
librispeech = load_corpus_module("librispeech", REPOSITORY / "local")


def add_chapter(root: Path, chapter: str, lines: str, *audio: str) -> None:
    """A chapter SET/SPEAKER/CHAPTER with its transcript and empty audio files."""
    folder = root / "LibriSpeech" / chapter
    folder.mkdir(parents=True)
    (folder / f"{folder.parent.name}-{folder.name}.trans.txt").write_text(lines)
    for name in audio:
        (folder / (name if "." in name else f"{name}.flac")).touch()


def test_every_utterance_of_every_set(tmp_path: Path) -> None:
    add_chapter(tmp_path, "dev-clean/84/1", "84-1-0000 GO ON\n84-1-0001 STOP\n", "84-1-0000", "84-1-0001")
    add_chapter(tmp_path, "train-clean-100/19/7", "19-7-0000 A\n19-7-0002 C\n", "19-7-0000", "19-7-0001")
    (tmp_path / "LibriSpeech" / "SPEAKERS.TXT").touch()
    found = list(librispeech.utterances(tmp_path, CorpusConfig(module="librispeech")))
    assert [(one.split, one.speaker, one.id, one.text) for one in found] == [
        ("dev-clean", "84", "84-1-0000", "GO ON"),
        ("dev-clean", "84", "84-1-0001", "STOP"),
        ("train-clean-100", "19", "19-7-0000", "A"),
        ("train-clean-100", "19", "19-7-0001", ""),  # no line: validation lists it
        ("train-clean-100", "19", "19-7-0002", "C"),  # no audio: likewise
    ]
    assert [one.audio.is_file() for one in found] == [True, True, True, True, False]
    assert found == list(librispeech.utterances(tmp_path / "LibriSpeech", CorpusConfig(module="librispeech")))


def test_other_codecs_are_read_and_flac_is_preferred(tmp_path: Path) -> None:
    names = ["84-1-0000.mp3", "84-1-0001.opus", "84-1-0002.ogg", "84-1-0002.flac", "84-1-0003.wav", "a.md"]
    add_chapter(tmp_path, "dev-clean/84/1", "".join(f"84-1-000{n} GO ON\n" for n in range(4)), *names)
    found = list(librispeech.utterances(tmp_path, CorpusConfig(module="librispeech")))
    audio = ["84-1-0000.mp3", "84-1-0001.opus", "84-1-0002.flac", "84-1-0003.wav"]
    assert [(one.id, one.audio.name) for one in found] == [(Path(name).stem, name) for name in audio]


def test_missing_folders_and_a_repeated_line_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no SET/SPEAKER/CHAPTER folders"):
        list(librispeech.utterances(tmp_path, CorpusConfig(module="librispeech")))
    add_chapter(tmp_path, "dev-clean/84/1", "84-1-0000 GO\n84-1-0000 ON\n", "84-1-0000")
    with pytest.raises(UserError, match="a second line for 84-1-0000"):
        list(librispeech.utterances(tmp_path, CorpusConfig(module="librispeech")))


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> List[str]:
    """Names of the archives that would be fetched."""
    names: List[str] = []

    def fetch(archive: Archive, directory: Path, mirror: Any) -> None:
        names.append("/".join(archive.addresses[0].split("/")[-2:]))

    monkeypatch.setattr(librispeech, "fetch_corpus", fetch)
    return names


def recipe(name: str, *assignments: str) -> RecipeConfig:
    return load_config(REPOSITORY / "recipes" / name / "recipe.yaml", assignments=assignments)


def test_missing_parts_that_the_recipe_uses_are_fetched(tmp_path: Path, fetched: List[str]) -> None:
    add_chapter(tmp_path, "dev-clean/84/1", "84-1-0000 GO\n", "84-1-0000")
    (tmp_path / "4-gram.arpa.gz").touch()
    (tmp_path / "musan" / "noise").mkdir(parents=True)
    librispeech.download(tmp_path, recipe("librispeech", "corpus.train_sets=[train-clean-100]"))
    sets = ["train-clean-100", "dev-other", "test-clean", "test-other"]
    assert fetched == [*(f"12/{name}.tar.gz" for name in sets), "11/3-gram.pruned.1e-7.arpa.gz"]
    fetched.clear()
    librispeech.download(tmp_path / "empty", recipe("mini_librispeech"))
    assert fetched == [
        *("31/train-clean-5.tar.gz", "31/dev-clean-2.tar.gz", "12/test-clean.tar.gz"),
        "11/3-gram.pruned.3e-7.arpa.gz",
    ]


def test_a_partial_corpus_is_not_completed(tmp_path: Path, fetched: List[str]) -> None:
    add_chapter(tmp_path, "dev-clean/84/1", "84-1-0000 GO\n", "84-1-0000")
    config = recipe("librispeech", "corpus.partial=true", "lm.arpa=null", "lm.rescore_arpa=null")
    librispeech.download(tmp_path, config)
    assert fetched == ["17/musan.tar.gz"]


def test_noises_and_rirs_are_downloaded_if_the_recipe_names_them(tmp_path: Path, fetched: List[str]) -> None:
    rooms = "augment.reverberation.directory=RIRS_NOISES/simulated_rirs"
    librispeech.download(tmp_path, recipe("mini_librispeech", rooms))
    assert fetched[-1] == "28/rirs_noises.zip"
    (tmp_path / "RIRS_NOISES" / "simulated_rirs").mkdir(parents=True)
    fetched.clear()
    librispeech.download(tmp_path, recipe("mini_librispeech", rooms, "augment.noise.directory=/data/noise"))
    assert not {"28/rirs_noises.zip", "17/musan.tar.gz"}.intersection(fetched)

"""AISHELL-1: folders, recordings without a transcript, full-width letters."""

from pathlib import Path

import pytest

from asrkit.config import CorpusConfig, load_config
from asrkit.corpus.utterance import load_corpus_module
from asrkit.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]
aishell = load_corpus_module("aishell", REPOSITORY / "local")


def make_corpus(root: Path, transcript: str) -> Path:
    folder = root / "data_aishell"
    for name in ("train/S0002/BAC1", "train/S0002/BAC2", "test/S0764/BAC3"):
        audio = folder / "wav" / f"{name}.wav"
        audio.parent.mkdir(parents=True, exist_ok=True)
        audio.touch()
    (folder / "transcript").mkdir()
    (folder / "transcript" / "aishell_transcript_v0.8.txt").write_text(transcript, encoding="utf-8")
    return root


def test_recordings_of_the_official_sets(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = make_corpus(tmp_path, "BAC1 而  对 楼市\nBAC3 ａｐｐ 下载\nBAC9 没有\n")
    found = list(aishell.utterances(root, CorpusConfig(module="aishell")))
    assert [(one.split, one.speaker, one.id, one.text.split()) for one in found] == [
        ("train", "S0002", "BAC1", ["而", "对", "楼市"]),
        ("train", "S0002", "BAC2", []),  # validation lists it, with the reason
        ("test", "S0764", "BAC3", ["app", "下载"]),
    ]
    assert "1 of 3 transcripts have no audio here, for example BAC9" in capsys.readouterr().out
    assert found == list(aishell.utterances(root / "data_aishell", CorpusConfig(module="aishell")))


def test_a_repeated_line_and_a_missing_corpus_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"aishell_transcript_v0\.8\.txt"):
        list(aishell.utterances(tmp_path, CorpusConfig(module="aishell")))
    with pytest.raises(UserError, match="a second line for BAC1"):
        list(aishell.utterances(make_corpus(tmp_path, "BAC1 而\nBAC1 对\n"), CorpusConfig(module="aishell")))


def test_the_archive_is_fetched_if_there_are_no_transcripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []
    monkeypatch.setattr(aishell, "fetch_corpus", lambda archive, *_: fetched.append(archive.inner))
    config = load_config(REPOSITORY / "recipes" / "aishell" / "recipe.yaml")
    aishell.download(tmp_path, config)
    aishell.download(make_corpus(tmp_path, "BAC1 而\n"), config)
    assert fetched == ["data_aishell/wav/*.tar.gz"]

"""yesno: the split of icefall, transcripts from file names."""

from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from asrkit.config import CorpusConfig, load_config
from asrkit.corpus.utterance import load_corpus_module
from asrkit.errors import UserError
from tests.corpus.sound import write_audio

LOCAL = Path(__file__).resolve().parents[2] / "local"
yesno = load_corpus_module("yesno", LOCAL)


def test_split_and_transcripts_of_the_published_files(corpora: Callable[[str], Path]) -> None:
    utterances = list(yesno.utterances(corpora("yesno"), CorpusConfig(module="yesno")))
    assert [utterance.split for utterance in utterances] == ["train"] * 24 + ["dev"] * 6 + ["test"] * 30
    names = [utterance.audio.name for utterance in utterances]
    assert names == sorted(names)
    assert utterances[0].id == "0_0_0_0_1_1_1_1"
    assert utterances[0].text == "NO NO NO NO YES YES YES YES"
    assert utterances == list(
        yesno.utterances(corpora("yesno") / "waves_yesno", CorpusConfig(module="yesno"))
    )


def test_download_leaves_an_existing_corpus_unchanged(corpora: Callable[[str], Path]) -> None:
    config = load_config(LOCAL.parent / "recipes" / "yesno" / "recipe.yaml")
    yesno.download(corpora("yesno"), config)


def test_errors_name_the_folder_and_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no \.wav files") as caught:
        list(yesno.utterances(tmp_path, CorpusConfig(module="yesno")))
    assert "--corpus-dir" in caught.value.todo
    write_audio(tmp_path / "waves_yesno" / "hello.wav", np.zeros(100), 8000)
    with pytest.raises(UserError, match=r"hello\.wav isn't a transcript"):
        list(yesno.utterances(tmp_path, CorpusConfig(module="yesno")))

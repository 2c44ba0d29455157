"""icefall's data/fbank couldn't be used: splits of its CutSets got other names, and noise without
supervisions was an error."""

import gzip
import json
from pathlib import Path
from typing import List

import pytest

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.utterance import load_corpus_module
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY

CORPUS = CorpusConfig(module="cut_set")


def write_cuts(folder: Path, name: str, is_noise: bool = False) -> None:
    source = {"type": "file", "channels": [0], "source": "a.wav"}
    recording = {"id": "r", "sources": [source], "sampling_rate": 16000, "num_samples": 16000, "duration": 1}
    spoken = {"id": name, "start": 0, "duration": 1, "text": "one", "speaker": "s"}
    cut = {"id": name, "type": "MonoCut", "start": 0, "duration": 1, "channel": 0, "recording": recording}
    cut["supervisions"] = [] if is_noise else [spoken]
    (folder / name).write_bytes(gzip.compress(json.dumps(cut).encode()))


def splits(folder: Path) -> List[str]:
    module = load_corpus_module("cut_set", REPOSITORY / "local")
    module.download(folder, RecipeConfig(name="small", corpus=CORPUS))
    return [one.split for one in module.utterances(folder, CORPUS)]


def test_the_split_is_named_after_cuts_or_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("librispeech_cuts_train-clean-5", "librispeech_cuts_dev-clean-2", "test_cuts", "cuts_eval.x")
    for name in names:
        write_cuts(tmp_path, f"{name}.jsonl.gz")
    write_cuts(tmp_path, "musan_cuts.jsonl.gz", is_noise=True)
    assert splits(tmp_path) == ["eval.x", "dev-clean-2", "train-clean-5", "test"]
    assert capsys.readouterr().out == "musan_cuts.jsonl.gz: 1 cuts without supervisions are not used\n"


def test_cuts_without_any_supervision_are_refused(tmp_path: Path) -> None:
    write_cuts(tmp_path, "musan_cuts.jsonl.gz", is_noise=True)
    with pytest.raises(UserError, match="none of the 1 cuts has a supervision"):
        splits(tmp_path)
    write_cuts(tmp_path, "noise_cuts.jsonl.gz", is_noise=True)
    with pytest.raises(UserError, match="no cut of 2 CutSets has a supervision"):
        splits(tmp_path)

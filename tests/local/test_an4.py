"""AN4: official lists, both forms of transcript line, speakers of dev."""

import collections
from pathlib import Path
from typing import Callable

import pytest

from asrkit.config import CorpusConfig, load_config
from asrkit.corpus.utterance import load_corpus_module
from asrkit.errors import UserError

LOCAL = Path(__file__).resolve().parents[2] / "local"
an4 = load_corpus_module("an4", LOCAL)


def lists(root: Path, train: str, test: str, train_ids: str = "an4_clstk/fash/an1-fash-b\n") -> Path:
    """A corpus with one speaker; only its lists."""
    etc = root / "an4" / "etc"
    etc.mkdir(parents=True)
    (etc / "an4_train.fileids").write_bytes(train_ids.encode())
    (etc / "an4_test.fileids").write_bytes(b"an4test_clstk/fcaw/an2-fcaw-b\n")
    (etc / "an4_train.transcription").write_bytes(train.encode())
    (etc / "an4_test.transcription").write_bytes(test.encode())
    return root


def test_published_lists(corpora: Callable[[str], Path]) -> None:
    utterances = list(an4.utterances(corpora("an4"), CorpusConfig(module="an4")))
    assert collections.Counter(utterance.split for utterance in utterances) == {
        "train": 793,
        "test": 130,
    }
    speakers = collections.defaultdict(set)
    for utterance in utterances:
        speakers[utterance.split].add(utterance.speaker)
    assert {split: len(of) for split, of in speakers.items()} == {"train": 62, "test": 10}
    dev = set(load_config(LOCAL.parent / "recipes" / "an4" / "recipe.yaml").corpus.dev_speakers)
    assert len(dev) == 8 and dev < speakers["train"]
    assert {speaker[0] for speaker in dev} == {"f", "m"}
    assert utterances[0].text == "YES"
    assert not any("<" in utterance.text or "(" in utterance.text for utterance in utterances)
    assert sum(len(utterance.text.split()) for utterance in utterances if utterance.split == "test") == 773
    assert all(utterance.audio.is_file() for utterance in utterances)
    assert utterances == list(an4.utterances(corpora("an4") / "an4", CorpusConfig(module="an4")))


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_forms(tmp_path: Path, mark: str, end: str) -> None:
    root = lists(tmp_path, f"{mark}<s> A  B </s> (an1-fash-b){end}{end}", f"C D (an2-fcaw-b){end}")
    assert [(one.id, one.split, one.text) for one in an4.utterances(root, CorpusConfig(module="an4"))] == [
        ("an1-fash-b", "train", "A  B"),
        ("an2-fcaw-b", "test", "C D"),
    ]


def test_an_utterance_without_transcript_is_an_error(tmp_path: Path) -> None:
    root = lists(tmp_path, "<s> A </s> (other)\n", "C (an2-fcaw-b)\n")
    with pytest.raises(UserError, match="an1-fash-b has no transcript") as caught:
        list(an4.utterances(root, CorpusConfig(module="an4")))
    assert caught.value.where.endswith("an4_train.fileids, line 1")


@pytest.mark.parametrize("line", ["A B\n", "A (an1-fash-b)\nB (an1-fash-b)\n"])
def test_a_malformed_or_repeated_transcript_line_is_an_error(tmp_path: Path, line: str) -> None:
    with pytest.raises(UserError, match=r"the line 'A B'|a second line for an1-fash-b"):
        list(an4.utterances(lists(tmp_path, line, "C (an2-fcaw-b)\n"), CorpusConfig(module="an4")))

"""Holding out dev and test sets took time quadratic in the number of utterances: minutes for 300,000."""

import time
from pathlib import Path

import pytest

from asrkit.config import CorpusConfig
from asrkit.corpus import splits
from asrkit.corpus.utterance import Utterance

CONFIG = CorpusConfig(module="any", held_out=("dev", "test"))


def test_the_time_is_proportional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "hash_value", lambda name: name)
    sizes = {f"u{number:06d}": 1 for number in range(500_000)}
    before = time.process_time()
    chosen = splits._choose(sizes, ("dev", "test"))
    assert time.process_time() - before < 5
    assert list(chosen.values()) == ["dev"] * 50_000 + ["test"] * 50_000
    assert list(chosen) == list(sizes)[:100_000]


def test_the_subsets_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    listed = splits.sets_of
    monkeypatch.setattr(splits, "sets_of", lambda config: calls.append(1) or listed(config))
    utterances = [
        Utterance(f"u{number}", Path("a.wav"), "ONE", f"s{number % 50}", "train") for number in range(500)
    ]
    held_out = splits.hold_out(utterances, CONFIG)
    splits.refuse_absent_sets(held_out, CONFIG, "here")
    assert len(calls) <= 4

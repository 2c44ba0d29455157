"""Dev and test carved out of train: by speaker, reproducibly, or else by utterance."""

import collections
import random
from pathlib import Path
from typing import Dict, List, Set, Tuple

import pytest

from asrkit.config import CorpusConfig
from asrkit.corpus.splits import hold_out
from asrkit.corpus.utterance import Utterance


def corpus(counts: Dict[str, int], split: str = "train") -> List[Utterance]:
    return [
        Utterance(f"{speaker}-{number}", Path("a.wav"), "ONE", speaker, split)
        for speaker, count in counts.items()
        for number in range(count)
    ]


def held_out(splits: List[str], train_sets: Tuple[str, ...] = ()) -> CorpusConfig:
    return CorpusConfig(module="any", held_out=tuple(splits), train_sets=train_sets)


def speakers(utterances: List[Utterance]) -> Dict[str, Set[str]]:
    found = collections.defaultdict(set)
    for one in utterances:
        found[one.split].add(one.speaker)
    return found


def test_each_split_gets_a_tenth_by_speaker_in_any_order() -> None:
    utterances = corpus({f"s{number:02d}": 10 for number in range(40)})
    split = hold_out(utterances, held_out(["dev", "test"]))
    assert collections.Counter(one.split for one in split) == {"train": 320, "dev": 40, "test": 40}
    found = speakers(split)
    assert not found["train"] & (found["dev"] | found["test"]) and not found["dev"] & found["test"]
    shuffled = random.Random(1).sample(utterances, len(utterances))
    again = {one.id: one.split for one in hold_out(shuffled, held_out(["dev", "test"]))}
    assert again == {one.id: one.split for one in split}


def test_a_speaker_with_a_large_share_stays_in_train() -> None:
    split = hold_out(corpus({"large": 60, **{f"s{number}": 5 for number in range(8)}}), held_out(["test"]))
    found = speakers(split)
    assert "large" in found["train"]
    assert len(found["test"]) == 2


def test_existing_splits_are_unchanged() -> None:
    utterances = [*corpus({f"s{number}": 5 for number in range(20)}), *corpus({"s0": 7}, "test")]
    split = hold_out(utterances, held_out(["dev"]))
    assert collections.Counter(one.split for one in split) == {"train": 90, "dev": 10, "test": 7}


def test_held_out_utterances_come_from_all_training_subsets() -> None:
    utterances = [
        *corpus({f"a{n}": 5 for n in range(10)}, "a"),
        *corpus({f"b{n}": 5 for n in range(10)}, "b"),
    ]
    split = hold_out(utterances, held_out(["dev"], train_sets=("a", "b")))
    counts = collections.Counter(one.split for one in split)
    assert counts["dev"] == 10 and counts["a"] + counts["b"] == 90


def test_with_one_speaker_utterances_are_drawn_and_a_line_reports_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    split = hold_out(corpus({"man": 50}), held_out(["dev", "test"]))
    assert collections.Counter(one.split for one in split) == {"train": 40, "dev": 5, "test": 5}
    assert "too few speakers" in capsys.readouterr().out

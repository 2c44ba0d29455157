"""A corpus with more utterances than expect.json "isn't complete", and --partial, the advice, didn't help."""

import json
from pathlib import Path

import pytest

from asrkit.corpus.statistics import check_expectations
from asrkit.errors import UserError

FOUND = {"train": {"utterances": 12, "seconds": 36.0}, "test": {"utterances": 3, "seconds": 9.0}}


@pytest.mark.parametrize("partial", [False, True])
def test_sets_with_too_many_utterances_are_reported(tmp_path: Path, partial: bool) -> None:
    file = tmp_path / "expect.json"
    file.write_text(json.dumps({"train": {"utterances": 10}, "test": {"utterances": 4}}))
    with pytest.raises(UserError, match="the corpus has more than expected") as caught:
        check_expectations(FOUND, [], file, partial)
    assert "train utterances: found 12, expected 10" in caught.value.found
    assert "test utterances: found 3, expected 4" in caught.value.found
    assert "--partial" not in caught.value.todo
    assert "correct expect.json" in caught.value.todo


def test_a_part_of_the_corpus_is_incomplete(tmp_path: Path) -> None:
    file = tmp_path / "expect.json"
    file.write_text(json.dumps({"train": {"utterances": 14}, "test": {"utterances": 3}}))
    with pytest.raises(UserError, match="the corpus isn't complete") as caught:
        check_expectations(FOUND, [], file)
    assert "--partial" in caught.value.todo
    assert check_expectations(FOUND, [], file, partial=True).partial == "15 of 17 utterances"

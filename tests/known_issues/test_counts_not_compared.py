"""Stage manifests printed "counts match expect.json" even if expect.json had no counts for a set."""

import json
from pathlib import Path
from typing import Any

from asrkit.corpus.statistics import check_expectations, split_statistics

NONE = split_statistics([])
FOUND = {"train": {**NONE, "utterances": 3}, "test": {**NONE, "utterances": 2}}


def line(folder: Path, expected: Any) -> str:
    (folder / "expect.json").write_text(json.dumps(expected))
    return check_expectations(FOUND, [], folder / "expect.json").line


def test_sets_without_counts_are_named(tmp_path: Path) -> None:
    train, test = {"utterances": 3}, {"utterances": 2}
    assert line(tmp_path, {"trian": train}) == "note: expect.json has no counts of train, test"
    assert line(tmp_path, {"train": train, "tset": test}) == (
        "counts match expect.json; it has no counts of test"
    )
    assert line(tmp_path, {"train": train, "test": test}) == "counts match expect.json"


def test_a_version_without_these_sets_matches_nothing(tmp_path: Path) -> None:
    versions = [
        {"name": "other", "splits": {"a": {}}},
        {"name": "own", "splits": {"train": {"utterances": 3}}},
    ]
    assert line(tmp_path, {"versions": versions}) == "counts match own; it has no counts of test"

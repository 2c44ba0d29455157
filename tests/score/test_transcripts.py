"""Joining by id: every utterance of the reference is there, and nothing else."""

from pathlib import Path
from typing import Any, Dict, List, Sequence

import pytest

from asrkit.errors import UserError
from asrkit.score.evaluation import evaluate
from asrkit.score.transcripts import Transcript, excluded, join_transcripts, read_rejected
from asrkit.storage.files import write_jsonl
from tests.storage.json_lines import write_jsonl_gz


def join(
    folder: Path,
    references: Dict[str, str],
    hypotheses: Sequence[Dict[str, Any]],
    rejected: Dict[str, Dict[str, Any]],
) -> List[Transcript]:
    supervisions, decoded = folder / "test_supervisions.jsonl.gz", folder / "hypotheses_1best.jsonl"
    write_jsonl_gz(
        supervisions, [{"id": key, "speaker": "s1", "text": text} for key, text in references.items()]
    )
    write_jsonl(decoded, hypotheses)
    return join_transcripts(supervisions, decoded, rejected)


def test_joins_by_id_whatever_the_order(tmp_path: Path) -> None:
    found = join(
        tmp_path, {"b": "two", "a": "one one"}, [{"id": "b", "hyp": ["two"]}, {"id": "a", "hyp": ["one"]}], {}
    )
    assert [(each.id, each.reference, each.hypothesis) for each in found] == [
        ("a", ["one", "one"], ["one"]),
        ("b", ["two"], ["two"]),
    ]


def test_missing_and_extra_ids_are_named(tmp_path: Path) -> None:
    references = {f"u{number}": "word" for number in range(9)}
    with pytest.raises(UserError) as error:
        join(tmp_path, references, [{"id": "u0", "hyp": []}, {"id": "stranger", "hyp": []}], {})
    assert "8 without a hypothesis: u1, u2, u3, u4, u5 and 3 more" in error.value.found
    assert "1 not in the reference: stranger" in error.value.found
    assert "hypotheses_1best.jsonl" in error.value.where


def test_empty_file_of_hypotheses_is_reported_as_empty(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="file of hypotheses is empty") as error:
        join(tmp_path, {"a": "one", "b": "two"}, [], {"b": {"reason": "too short"}})
    assert "hypotheses_1best.jsonl" in error.value.where
    all_rejected = {key: {"reason": "too short"} for key in "ab"}
    assert len(join(tmp_path, {"a": "one", "b": "two"}, [], all_rejected)) == 2


def test_double_ids_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 duplicate ids: a"):
        join(tmp_path, {"a": "one"}, [{"id": "a", "hyp": []}, {"id": "a", "hyp": ["one"]}], {})


def test_rejected_utterance_stays_in_the_denominator(tmp_path: Path) -> None:
    found = join(
        tmp_path,
        {"a": "one two", "b": "three four five"},
        [{"id": "a", "hyp": ["one", "two"]}],
        {"b": {"reason": "NaN"}},
    )
    total = evaluate(found, "word", list, samples=10).total
    assert (total.reference, total.deletions, total.errors) == (5, 3, 3)
    assert [each.rejected for each in found] == ["", "NaN"]


def test_rejection_excuses_only_its_own_id(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 without a hypothesis: c"):
        join(tmp_path, dict.fromkeys("abc", "x"), [{"id": "a", "hyp": []}], {"b": {"reason": "too short"}})


def test_reference_without_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no word"):
        join(tmp_path, {"a": ""}, [{"id": "a", "hyp": ["x"]}], {})


def test_rejections_of_other_splits_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "rejected.jsonl"
    write_jsonl(
        file,
        [{"id": "a", "split": "train", "reason": "empty"}, {"id": "b", "split": "test", "reason": "NaN"}],
    )
    assert list(read_rejected([file, tmp_path / "absent.jsonl"], "test")) == ["b"]


def test_utterance_rejected_before_the_manifests_counts_if_its_text_is_known(tmp_path: Path) -> None:
    rejected = {
        "b": {"reason": "truncated", "text": "three four", "speaker": "s2"},
        "c": {"reason": "empty text"},
    }
    found = join(tmp_path, {"a": "one"}, [{"id": "a", "hyp": ["one"]}], rejected)
    assert [(each.id, each.reference, each.rejected) for each in found] == [
        ("a", ["one"], ""),
        ("b", ["three", "four"], "truncated"),
    ]
    assert excluded(rejected, found) == {"c": "empty text"}


def test_second_utterance_of_an_id_is_named_not_scored(tmp_path: Path) -> None:
    rejected = {"a": {"reason": "duplicate id", "text": "one"}}
    found = join(tmp_path, {"a": "one"}, [{"id": "a", "hyp": ["one"]}], rejected)
    assert [(each.hypothesis, each.rejected) for each in found] == [(["one"], "")]
    assert excluded(rejected, found) == {"a": "duplicate id"}

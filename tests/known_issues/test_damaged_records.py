"""Files of EXP/stages with another content than they should have raised errors of Python."""

import json
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from asrkit.pipeline.record import NOTE, Note, Record, read_note, read_record, record_file
from asrkit.storage.fingerprint import FingerprintCache
from tests.pipeline.toy import STAGES, Toy

CONTENTS = [
    b"",
    b"\xff\0",
    b"null",
    b"[]",
    b"1",
    b'"x"',
    b"{}",
    b"[" * 100_000,
    b'{"a":' * 5_000,
    b'{"started": NaN}',
]
RECORD: Dict[str, Any] = {
    "key": "a", "how": {}, "version": 1, "inputs": {}, "settings": {}, "code": {}, "outputs": {},
    "started": 1.0, "seconds": 1.0, "peak_bytes": 1, "output_bytes": 1, "command": [],
}  # fmt: skip
WRONG = [
    {"started": 1e300}, {"started": -1.0}, {"seconds": float("nan")}, {"seconds": "1"}, {"peak_bytes": -1},
    {"output_bytes": None}, {"inputs": []}, {"inputs": {"a": 1}}, {"outputs": {"a": None}},
    {"code": {"a": []}},
    {"settings": 1}, {"command": "x"}, {"command": [1]},
]  # fmt: skip


@pytest.mark.parametrize(
    "content", [*CONTENTS, *(json.dumps({**RECORD, **wrong}).encode() for wrong in WRONG)]
)
def test_a_record_or_note_of_another_shape_is_none(toy: Toy, content: bytes) -> None:
    experiment = toy.experiment()
    folder = experiment.folder("count")
    for file in (record_file(STAGES[2], experiment), folder / NOTE):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    assert read_record(STAGES[2], experiment) is None
    assert read_note(folder) is None


def test_a_whole_record_and_note_are_read(toy: Toy) -> None:
    experiment = toy.experiment()
    experiment.records.mkdir(parents=True)
    record_file(STAGES[2], experiment).write_text(
        json.dumps({**RECORD, "inputs": {"\udcff": "1", "b": None}})
    )
    record = read_record(STAGES[2], experiment)
    assert isinstance(record, Record)
    assert record.inputs == {"\udcff": "1", "b": None}
    (toy.exp / NOTE).write_text('{"key": "a", "started": 2.0, "seconds_before": 0.5}')
    assert read_note(toy.exp) == Note("a", 2.0, 0.5)


@pytest.mark.parametrize("damage", ["content", "folder"])
def test_a_stage_with_a_damaged_record_is_run_again(finished: Toy, damage: str) -> None:
    file = finished.exp / "stages/count.json"
    file.unlink()
    file.mkdir() if damage == "folder" else file.write_bytes(b"[[]]")
    assert "count" in finished.states()
    assert "count" in finished.ran(finished.run())
    assert finished.states() == {}


def whole(known: Dict[str, Any]) -> Dict[str, Any]:
    """The cache as it is."""
    return known


@pytest.mark.parametrize(
    "damage",
    [
        lambda known: [],
        lambda known: dict.fromkeys(known, 5),
        lambda known: {key: [1, 2] for key in known},
        lambda known: {key: {"a": 1} for key in known},
        lambda known: {key: [*entry[:4], 7] for key, entry in known.items()},
        lambda known: {key: [*entry[:4], ["a", 5]] for key, entry in known.items()},
        lambda known: {key: [*entry[:4], ["a", ["b"], "c"]] for key, entry in known.items()},
        lambda known: {key: [*map(str, entry[:4]), entry[4]] for key, entry in known.items()},
        whole,
    ],
)
def test_a_damaged_cache_of_fingerprints_is_no_cache(
    finished: Toy, damage: Callable[[Dict[str, Any]], Any]
) -> None:
    file = finished.exp / "stages/fingerprints/files.json"
    finished.run("--stage", "collect")
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "files": damage(kept["files"])}))
    assert finished.states() == {}


@pytest.mark.parametrize("content", CONTENTS)
def test_a_damaged_cache_file_is_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cache").write_bytes(content)
    (tmp_path / "a").write_text("a")
    assert FingerprintCache(tmp_path / "cache").fingerprint(tmp_path / "a")

"""Changed files gave RecursionError, zlib.error, SafetensorError and the like, or filled memory. What a
reader can't make sense of is now told in words by the one reader of that kind of file, with its name."""

import gzip
import json
import resource
import struct
import zlib
from pathlib import Path
from typing import Any, Callable, Dict

import msgspec
import pytest
import torch

from asrkit.config import ModelConfig
from asrkit.corpus.manifests import read_cuts
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel, load_model, save_model
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.lock import hold_lock, read_holder
from asrkit.storage import files
from asrkit.storage.checksum import BLANK, write_checksum
from asrkit.storage.files import iterate_jsonl, read_json, read_jsonl
from asrkit.storage.fingerprint import FingerprintCache
from asrkit.storage.tensors import load_tensors, read_metadata, save_tensors
from tests.pipeline.toy import settings as toy_settings
from tests.storage.test_files import little_space
from tests.train.tiny import MODEL

ROW = b'{"id": "a", "text": "caf\xc3\xa9"}\n'
DEEP = b"[" * 200_000
CONTENTS = {
    "deep": DEEP,
    "NUL": b"\0" + ROW,
    "no UTF-8": ROW.replace(b"\xc3", b"\xff"),
    "half": ROW[:9],
    "a list": b"[1]\n",
    "a number": b"5\n",
    "null": b"null\n",
    "a key missing": b'{"text": ""}\n',
    "another type": b'{"id": 5}\n',
}


class Row(msgspec.Struct):
    id: str


def refuse(file: Path, read: Callable[[], Any]) -> None:
    with pytest.raises(UserError) as error:
        read()
    assert file.name in error.value.found and error.value.where == str(file) and error.value.todo


@pytest.mark.parametrize("name", CONTENTS)
def test_json_that_is_not_what_it_should_be(tmp_path: Path, name: str) -> None:
    for file in (tmp_path / "x.json", tmp_path / "x.jsonl", tmp_path / "x.jsonl.gz"):
        content = CONTENTS[name]
        file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
        refuse(
            file, lambda file=file: read_json(file, Row) if file.suffix == ".json" else read_jsonl(file, Row)
        )


def compressed() -> bytes:
    return gzip.compress(ROW * 999)


GZIPPED = {
    "empty": b"",
    "half": compressed()[:-20],
    "its checksum": compressed()[:-8] + b"12345678",
    "a block": compressed()[:12] + b"\xff" * 9 + compressed()[21:],
    "no gzip": ROW,
}


@pytest.mark.parametrize("name", [name for name in GZIPPED if name != "empty"])
def test_damaged_gzip(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.jsonl.gz").write_bytes(GZIPPED[name])
    refuse(tmp_path / "x.jsonl.gz", lambda: read_jsonl(tmp_path / "x.jsonl.gz"))


def test_a_line_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    """256 MB in 1 MB; its reader takes no more than the longest line that is allowed."""
    squeeze = zlib.compressobj(1, wbits=31)
    block = b" " * (1 << 20)
    content = squeeze.compress(b'{"id": "') + b"".join(squeeze.compress(block) for _ in range(256))
    (tmp_path / "x.jsonl.gz").write_bytes(content + squeeze.flush())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="line 1 has more than 16 MiB"):
        list(iterate_jsonl(tmp_path / "x.jsonl.gz"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_a_long_line_that_is_allowed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST_LINE", 20)
    (tmp_path / "x.jsonl").write_bytes(b'{"id": "0123456789"}\n{"id": "012345678"}\n')
    with pytest.raises(UserError, match="line 1 has more"):
        read_jsonl(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl").write_bytes(b'{"id": "012345678"}\n' * 2)
    assert len(read_jsonl(tmp_path / "x.jsonl")) == 2


def header(file: Path, change: Callable[[Dict[str, Any]], Any]) -> None:
    """Change the header of a tensor file, whose checksum is then right again."""
    content = file.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    value = change(json.loads(content[8 : 8 + length]))
    written = value if isinstance(value, bytes) else json.dumps(value).encode()
    file.write_bytes(struct.pack("<Q", len(written)) + written + content[8 + length :])
    if BLANK.encode() in written:
        write_checksum(file)


def about(text: str) -> Callable[[Dict[str, Any]], Any]:
    return lambda value: {**value, "__metadata__": {"asrkit": text}}


HEADERS: Dict[str, Callable[[Dict[str, Any]], Any]] = {
    "metadata a list": about(f'["checksum", "{BLANK}"]'),
    "metadata deep": about(f'{{"checksum": "{BLANK}", "x": {"[" * 50_000}'),
    "metadata no JSON": about(f'{{"checksum": "{BLANK}"'),
    "deep": lambda value: DEEP,
    "a tensor outside": lambda value: {**value, "w": {**value["w"], "data_offsets": [0, 1 << 40]}},
    "a negative shape": lambda value: {**value, "w": {**value["w"], "shape": [-1]}},
    "an unknown type": lambda value: {**value, "w": {**value["w"], "dtype": "X9"}},
}


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_tensor_files(tmp_path: Path, name: str, check: bool) -> None:
    file = tmp_path / "x.safetensors"
    save_tensors(file, {"w": torch.zeros(3)}, {"n": 1})
    header(file, HEADERS[name])
    refuse(file, lambda: load_tensors(file, check=check))
    refuse(file, lambda: read_metadata(file, check=check))


MODELS: Dict[str, Callable[[Dict[str, Any]], None]] = {
    "ten million blocks": lambda settings: settings["model"].update(attention_blocks=10**7),
    "ten million decoder blocks": lambda settings: settings["model"].update(decoder_blocks=10**7),
    "ten million residual blocks": lambda settings: settings["model"].update(stage_blocks=[10**7]),
    "a billion channels": lambda settings: settings["model"].update(stem_channels=10**9),
    "a wide network": lambda settings: settings["model"].update(feedforward_dim=10**10),
    "a billion units": lambda settings: settings.update(units=10**9),
    "a billion bins": lambda settings: settings.update(bins=10**9),
    "no heads": lambda settings: settings["model"].update(attention_heads=0),
    "bins a text": lambda settings: settings.update(bins="20"),
    "no settings": lambda settings: settings.pop("model"),
    "a block more": lambda settings: settings["model"].update(attention_blocks=2),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_not_built_before_its_shapes_are_compared(tmp_path: Path, name: str) -> None:
    file = tmp_path / "model.safetensors"
    save_model(file, AcousticModel(MODEL, bins=20, units=3), {"units": "u"})
    assert load_model(file)[1] == {"units": "u"}
    tensors, settings = load_tensors(file)
    MODELS[name](settings)
    save_tensors(tmp_path / "huge.safetensors", tensors, settings)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="does not hold a model of this version"):
        load_model(tmp_path / "huge.safetensors")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_the_settings_of_usual_models_are_read_again(tmp_path: Path) -> None:
    for settings in ({}, {"decoder_blocks": 1, "encoder": "conformer", "positions": "relative"}):
        save_model(tmp_path / "m", AcousticModel(ModelConfig(attention_blocks=1, **settings), 80, 9), {})
        assert load_model(tmp_path / "m")[0].units == 9


CUT = {
    "id": "a",
    "start": 0.0,
    "duration": 1.0,
    "channel": 0,
    "type": "MonoCut",
    "supervisions": [{"id": "a", "recording_id": "a", "start": 0.0, "duration": 1.0, "text": "x"}],
    "recording": {
        "id": "a",
        "sources": [{"type": "file", "channels": [0], "source": "a.wav"}],
        "sampling_rate": 16000,
        "num_samples": 16000,
        "duration": 1.0,
    },
}
CHANGES: Dict[str, Dict[str, Any]] = {
    "no supervision": {"supervisions": []},
    "a supervision without text": {"supervisions": [{"id": "a"}]},
    "no recording": {"recording": None},
    "another type": {"type": "PaddingCut"},
    "an unknown type": {"type": "X"},
    "a text for a number": {"start": "0"},
    "no custom fields": {"custom": "x"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_rows_that_are_no_cuts(tmp_path: Path, name: str) -> None:
    experiment = Experiment(toy_settings(), tmp_path, tmp_path, tmp_path, 1)
    file = tmp_path / "manifests" / "test_cuts.jsonl.gz"
    file.parent.mkdir()
    for row, whole in ((CUT, True), ({**CUT, **CHANGES[name]}, False)):
        file.write_bytes(gzip.compress(json.dumps(row).encode()))
        if whole:
            assert [cut.id for cut in read_cuts(experiment, "test")] == ["a"]
        else:
            refuse(file, lambda: list(read_cuts(experiment, "test")))


@pytest.mark.parametrize("content", [DEEP, b"\xff\0", b"[1]", b'{"pid": "x"}', b'{"pid": []}'])
def test_a_damaged_lock_names_nobody_and_can_be_taken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".lock").write_bytes(content)
    assert read_holder(tmp_path) is None
    with hold_lock(tmp_path, ["asrkit"]):
        pass


@pytest.mark.parametrize("content", [DEEP, b"[]", b'{"content:x": 5}', b"\xff"])
def test_a_damaged_cache_is_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cache").write_bytes(content)
    (tmp_path / "x").write_bytes(b"x")
    assert FingerprintCache(tmp_path / "cache").fingerprint(tmp_path / "x")


def test_a_full_disk_is_told_for_tensors_too(tmp_path: Path) -> None:
    def write() -> None:
        with little_space():
            save_tensors(tmp_path / "x.safetensors", {"w": torch.zeros(5000)}, {})

    with pytest.raises(UserError, match=r"can't write .*x\.safetensors: .*File too large") as error:
        write()
    assert "free some space" in error.value.todo
    assert not list(tmp_path.iterdir())

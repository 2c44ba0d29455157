"""A flipped bit in a checkpoint, the weights of an epoch or a list of shards went unnoticed. Every file that
is read back now has a checksum of tensors, names, shapes and metadata, and records what it is made of."""

import json
import random
from pathlib import Path
from typing import Callable

import pytest
import torch

from asrkit.errors import UserError
from asrkit.storage.files import read_json, write_checked_json
from asrkit.storage.tensors import load_tensors, read_metadata, save_tensors

VALUE = {"made_of": "a", "step": 70, "cuts": [{"text": "YES NO"}]}


def tensors(folder: Path) -> Path:
    file = folder / "x.safetensors"
    save_tensors(file, {"w": torch.arange(12.0).view(3, 4), "b": torch.zeros(3, dtype=torch.int32)}, VALUE)
    return file


def check_tensors(file: Path) -> None:
    load_tensors(file)


def checked(folder: Path) -> Path:
    write_checked_json(folder / "x.json", VALUE)
    return folder / "x.json"


def check_json(file: Path) -> None:
    read_json(file, checked=True)


KINDS = {"tensors": (tensors, check_tensors), "JSON": (checked, check_json)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_changed_byte_is_noticed(tmp_path: Path, kind: str) -> None:
    write, check = KINDS[kind]
    file = write(tmp_path)
    check(file)
    content, draw = file.read_bytes(), random.Random(1)
    for index in range(len(content)):
        file.write_bytes(
            content[:index] + bytes([content[index] ^ 1 << draw.randrange(8)]) + content[index + 1 :]
        )
        with pytest.raises(UserError, match=r"x\.(safetensors|json)"):
            check(file)


CHANGES = {
    "truncated": lambda content: content[:-4],
    "longer": lambda content: content + b"\0",
    "zeroed": lambda content: bytes(len(content)),
    "empty": lambda content: b"",
    "a number": lambda content: content.replace(b": 70", b": 71"),
    "a text": lambda content: content.replace(b"YES NO", b"NO YES"),
    "without its checksum": lambda content: content.replace(b"checksum", b"checkfum"),
    "white space": lambda content: content.replace(b" ", b"\t", 1),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_changed_files_are_refused_in_words(tmp_path: Path, kind: str, change: str) -> None:
    write, check = KINDS[kind]
    file = write(tmp_path)
    content = file.read_bytes()
    damaged = CHANGES[change](content)
    assert damaged != content
    file.write_bytes(damaged)
    with pytest.raises(UserError) as error:
        check(file)
    assert "damaged" in error.value.found and error.value.where == str(file) and error.value.todo


@pytest.mark.parametrize(
    ("old", "new"), [('"w"', '"v"'), ('"F32"', '"I32"'), ("[3,4]", "[4,3]"), ("[3]", "[1,3]")]
)
def test_names_types_and_shapes_are_in_the_checksum(tmp_path: Path, old: str, new: str) -> None:
    file = tensors(tmp_path)
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].decode()
    assert old in header
    changed = header.replace(old, new, 1).encode().rstrip()
    file.write_bytes(len(changed).to_bytes(8, "little") + changed + content[8 + length :])
    with pytest.raises(UserError, match="its checksum does not match"):
        load_tensors(file)


def test_what_was_made_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tensors(tmp_path)
    assert read_metadata(file, made_of="a") == VALUE
    for read in (load_tensors, read_metadata):
        with pytest.raises(UserError, match="has other settings or inputs"):
            read(file, made_of="b")


@pytest.mark.parametrize("place", ["folder", "loop", "absent"])
def test_what_is_no_file_is_refused(tmp_path: Path, place: str) -> None:
    file = tmp_path / "x"
    make: Callable[[], None] = {
        "folder": file.mkdir,
        "loop": lambda: file.symlink_to("x"),
        "absent": lambda: None,
    }[place]
    make()
    for check in (check_tensors, check_json):
        with pytest.raises(UserError, match="can't read"):
            check(file)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for write in (tensors, checked):
        assert write(tmp_path).read_bytes() == write(tmp_path).read_bytes()
    assert json.loads((tmp_path / "x.json").read_text())["step"] == 70

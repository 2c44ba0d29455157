from pathlib import Path

import pytest
import torch

from asrkit.errors import UserError
from asrkit.storage.tensors import load_tensors, read_metadata, save_tensors


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6).view(2, 3).t(), "b": torch.tensor(1.5)}
    save_tensors(tmp_path / "x.safetensors", tensors, {"words": ["ä", "b"], "n": 3})
    loaded, metadata = load_tensors(tmp_path / "x.safetensors")
    assert {name: tensor.tolist() for name, tensor in loaded.items()} == {
        "a": [[0, 3], [1, 4], [2, 5]],
        "b": 1.5,
    }
    assert metadata == read_metadata(tmp_path / "x.safetensors") == {"words": ["ä", "b"], "n": 3}


def test_file_permissions_follow_the_umask(tmp_path: Path) -> None:
    save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(2)}, {})
    (tmp_path / "y").touch()
    assert (tmp_path / "x.safetensors").stat().st_mode == (tmp_path / "y").stat().st_mode


@pytest.mark.parametrize("damage", [b"", b"\x80\x04K\x01.", b"\x00" * 100])
def test_a_damaged_file_is_named(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(damage)
    with pytest.raises(UserError, match=r"x\.safetensors"):
        load_tensors(file)
    with pytest.raises(UserError, match=r"x\.safetensors"):
        read_metadata(file)

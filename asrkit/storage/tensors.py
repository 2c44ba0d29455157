"""Tensors in safetensors files: no pickle, so opening one can't run code."""

import contextlib
import json
from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

import safetensors
import safetensors.torch
import torch

from asrkit.errors import UserError
from asrkit.storage.files import whole_file

METADATA = "asrkit"  # the header's entry that holds ours, as JSON


def save_tensors(file: Path, tensors: Dict[str, torch.Tensor], metadata: Dict[str, Any]) -> None:
    """Write tensors and JSON-able metadata, whole or not at all; the same content gives the same bytes."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # One entry alone: safetensors writes several in an order that changes from run to run.
    header = {METADATA: json.dumps(metadata, ensure_ascii=False)}
    with whole_file(file) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # safetensors takes 0600, whatever the user's umask
        safetensors.torch.save_file(contiguous, temporary, header)
        temporary.chmod(mode)


def load_tensors(file: Path) -> Tuple[Dict[str, torch.Tensor], Dict[str, Any]]:
    """Read a safetensors file, with the metadata of save_tensors if it has any.

    The tensors are the file's own pages, mapped when they are first used and shared by all processes that
    read it; one that writes to a tensor gets copies of its own. Raises UserError when the file is missing or
    damaged.
    """
    with _open(file) as stored:
        names = stored.keys()
        tensors, metadata = {name: stored.get_tensor(name) for name in names}, _metadata(stored)
    return tensors, metadata


def read_metadata(file: Path) -> Dict[str, Any]:
    """Read the metadata alone, without the tensors; raises UserError as load_tensors does."""
    with _open(file) as stored:
        metadata: Dict[str, Any] = _metadata(stored)
    return metadata


@contextlib.contextmanager
def _open(file: Path) -> Iterator[Any]:
    try:
        with safetensors.safe_open(str(file), framework="pt") as stored:
            yield stored
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(
            f"can't read {file}: {error}",
            expected="a safetensors file, whole",
            where=str(file),
            todo="run.sh, without --stage, makes anew what a stage wrote and has changed since",
        ) from None


def _metadata(stored: Any) -> Dict[str, Any]:
    metadata: Dict[str, Any] = json.loads((stored.metadata() or {}).get(METADATA, "{}"))
    return metadata

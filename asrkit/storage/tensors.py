"""Tensors in safetensors files: no pickle, so opening one can't run code."""

import contextlib
import json
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Tuple

import safetensors
import safetensors.torch
import torch
from torch.overrides import TorchFunctionMode

from asrkit.errors import UserError
from asrkit.storage.checksum import BLANK, check_checksum, write_checksum
from asrkit.storage.files import whole_file

METADATA = "asrkit"  # the header's entry that holds ours, as JSON
ANYTHING = object()  # of made_of


def save_tensors(file: Path, tensors: Dict[str, torch.Tensor], metadata: Dict[str, Any]) -> None:
    """Write tensors and JSON-able metadata with a checksum, whole or not at all; equal content, equal bytes.

    What the tensors were made of is metadata["made_of"].
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # One entry alone: safetensors writes several in an order that changes from run to run.
    header = {METADATA: json.dumps({"checksum": BLANK, **metadata}, ensure_ascii=False)}
    with whole_file(file) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # safetensors takes 0600, whatever the user's umask
        try:
            safetensors.torch.save_file(contiguous, temporary, header)
        except safetensors.SafetensorError as error:
            raise OSError(str(error)) from None
        temporary.chmod(mode)
        write_checksum(temporary)


def load_tensors(
    file: Path, made_of: Any = ANYTHING, check: bool = True
) -> Tuple[Dict[str, torch.Tensor], Dict[str, Any]]:
    """Read a safetensors file, with the metadata of save_tensors if it has any.

    The tensors are the file's own pages, mapped when they are first used and shared by all processes that
    read it; one that writes to a tensor gets copies of its own. Raises UserError when the file is missing or
    damaged, or was made of anything but `made_of`. `check`: compare the checksum, for which the file is
    read once; left out for files of others and for those that were checked before.
    """
    with _open(file, made_of, check) as (stored, metadata):
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    return tensors, metadata


def read_metadata(file: Path, made_of: Any = ANYTHING, check: bool = True) -> Dict[str, Any]:
    """Read the metadata alone, without the tensors; raises UserError as load_tensors does."""
    with _open(file, made_of, check) as (_, metadata):
        return metadata


def load_module(
    file: Path, build: Callable[[Dict[str, Any]], torch.nn.Module], kind: str, stage: str
) -> Tuple[Any, Dict[str, Any]]:
    """The module that a file holds, built from its metadata, in evaluation mode; and the metadata.

    Raises UserError when the file is missing or damaged, or its tensors aren't those that the metadata ask
    for, before memory is taken for these. `kind`: for example "a model", which `stage` writes.
    """
    tensors, about = load_tensors(file)
    try:
        with _Unallocated(len(tensors)):
            planned = build(about).state_dict()
        wanted = {name: tensor.shape for name, tensor in planned.items()}
        if wanted != {name: tensor.shape for name, tensor in tensors.items()}:
            raise ValueError("its tensors aren't those that its settings give")
        module = build(about)
        module.load_state_dict(tensors)
    except Exception as error:  # what settings of strangers lead to can't be listed
        raise UserError(
            f"{file.name} does not hold {kind} of this version: {error or type(error).__name__}",
            expected=f"{kind} that stage {stage} wrote",
            where=str(file),
            todo=f"run.sh --stage {stage} --stop-stage {stage}",
        ) from None
    return module.eval(), about


class _Unallocated(TorchFunctionMode):  # type: ignore[misc]
    """Makes new tensors without memory, so many at most."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.left = limit

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in (torch.empty, torch.zeros, torch.ones, torch.full, torch.tensor, torch.randn):
            return func(*args, **(kwargs or {}))
        self.left -= 1
        if self.left < 0:
            raise ValueError("its settings give more tensors than it holds")
        return func(*args, **{**(kwargs or {}), "device": "meta"})


@contextlib.contextmanager
def _open(file: Path, made_of: Any, check: bool) -> Iterator[Tuple[Any, Dict[str, Any]]]:
    """The open file and its metadata. What damaged bytes make of a library's calls can't be listed."""
    try:
        if check:
            check_checksum(file)
        with safetensors.safe_open(str(file), framework="pt") as stored:
            metadata = json.loads((stored.metadata() or {}).get(METADATA, "{}"))
            if not isinstance(metadata, dict):
                raise ValueError("its metadata is no object")
            metadata.pop("checksum", None)
            if made_of is not ANYTHING and metadata.get("made_of") != made_of:
                raise UserError(
                    f"{file} was made of something else",
                    expected="a file of this experiment, its settings and its inputs",
                    where=str(file),
                    todo="run.sh, without --stage, regenerates it",
                )
            yield stored, metadata
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"can't read {file}: {error or type(error).__name__}",
            expected="a safetensors file, whole",
            where=str(file),
            todo="run.sh, without --stage, regenerates what a stage wrote and has changed since",
        ) from None

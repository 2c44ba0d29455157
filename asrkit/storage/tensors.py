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
ANYTHING = object()  # any made_of


def save_tensors(file: Path, tensors: Dict[str, torch.Tensor], metadata: Dict[str, Any]) -> None:
    """Write tensors and JSON-able metadata with a checksum, atomically; equal content gives equal bytes.

    metadata["made_of"] identifies what the tensors were computed from.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # A single entry: safetensors writes several in an order that differs between runs
    header = {METADATA: json.dumps({"checksum": BLANK, **metadata}, ensure_ascii=False)}
    with whole_file(file) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # safetensors sets 0600, whatever the umask
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

    The tensors are mapped pages of the file, shared by all processes that read it, copied on write. Raises
    UserError if the file is missing, damaged, or has another `made_of`. `check`: compare the checksum, which
    reads the whole file; not for files of other tools, or checked before.
    """
    with _open(file, made_of, check) as (stored, metadata):
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    return tensors, metadata


def read_metadata(file: Path, made_of: Any = ANYTHING, check: bool = True) -> Dict[str, Any]:
    """Read only the metadata; raises UserError as load_tensors does."""
    with _open(file, made_of, check) as (_, metadata):
        return metadata


def load_module(
    file: Path, build: Callable[[Dict[str, Any]], torch.nn.Module], kind: str, stage: str
) -> Tuple[Any, Dict[str, Any]]:
    """Build a module from a file's metadata and tensors, in evaluation mode; returns it and the metadata.

    Raises UserError if the file is missing or damaged, or its tensors don't fit the metadata, before it
    allocates memory for them. `kind`: for example "a model", which `stage` writes.
    """
    tensors, about = load_tensors(file)
    try:
        with _Unallocated(len(tensors)):
            planned = build(about).state_dict()
        wanted = {name: tensor.shape for name, tensor in planned.items()}
        if wanted != {name: tensor.shape for name, tensor in tensors.items()}:
            raise ValueError("its tensors don't fit its settings")
        module = build(about)
        module.load_state_dict(tensors)
    except Exception as error:  # untrusted settings may raise anything
        found = f"{file.name} does not hold {kind} of this version: {error or type(error).__name__}"
        todo = f"run.sh --stage {stage} --stop-stage {stage}"
        raise UserError(found, f"{kind} that stage {stage} wrote", str(file), todo) from None
    return module.eval(), about


class _Unallocated(TorchFunctionMode):  # type: ignore[misc]
    """Creates tensors without memory, at most `limit` of them."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.left = limit

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in (torch.empty, torch.zeros, torch.ones, torch.full, torch.tensor, torch.randn):
            return func(*args, **(kwargs or {}))
        self.left -= 1
        if self.left < 0:
            raise ValueError("its settings need more tensors than it has")
        return func(*args, **{**(kwargs or {}), "device": "meta"})


@contextlib.contextmanager
def _open(file: Path, made_of: Any, check: bool) -> Iterator[Tuple[Any, Dict[str, Any]]]:
    """The open file and its metadata. Damaged bytes may make the library raise anything."""
    try:
        if check:
            check_checksum(file)
        with safetensors.safe_open(str(file), framework="pt") as stored:
            metadata = json.loads((stored.metadata() or {}).get(METADATA, "{}"))
            if not isinstance(metadata, dict):
                raise ValueError("its metadata is no object")
            metadata.pop("checksum", None)
            if made_of is not ANYTHING and metadata.get("made_of") != made_of:
                found = f"{file} has other settings or inputs"
                todo = "run.sh, without --stage, regenerates it"
                raise UserError(found, "a file with these settings and inputs", str(file), todo)
            yield stored, metadata
    except UserError:
        raise
    except Exception as error:
        found = f"can't read {file}: {error or type(error).__name__}"
        todo = "run.sh, without --stage, regenerates files of stages that have changed"
        raise UserError(found, "a complete safetensors file", str(file), todo) from None

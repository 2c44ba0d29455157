"""Tensors in safetensors files: no pickle, so opening one can't run code."""

import json
from pathlib import Path
from typing import Any, Dict, Tuple

import safetensors
import safetensors.torch
import torch

from asrkit.errors import UserError
from asrkit.storage.files import write_bytes


def save_tensors(file: Path, tensors: Dict[str, torch.Tensor], metadata: Dict[str, Any]) -> None:
    """Write tensors and JSON-able metadata, whole or not at all."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {key: json.dumps(value, ensure_ascii=False) for key, value in metadata.items()}
    write_bytes(file, safetensors.torch.save(contiguous, header))


def load_tensors(file: Path) -> Tuple[Dict[str, torch.Tensor], Dict[str, Any]]:
    """Read what save_tensors wrote; raises UserError when the file is missing or damaged."""
    try:
        with safetensors.safe_open(str(file), framework="pt") as stored:
            names = stored.keys()
            tensors = {name: stored.get_tensor(name) for name in names}
            metadata = {key: json.loads(value) for key, value in (stored.metadata() or {}).items()}
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(
            f"can't read {file}: {error}", expected="a safetensors file that asrkit wrote", where=str(file)
        ) from None
    return tensors, metadata

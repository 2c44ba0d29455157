"""Decoding shards: one tensor per utterance, with a checksum and a fingerprint of the inputs."""

import os
import re
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

from torch import Tensor

from asrkit.errors import UserError
from asrkit.pipeline.cluster import LOCAL
from asrkit.pipeline.parallel import run_parallel
from asrkit.storage.files import remove
from asrkit.storage.tensors import load_tensors, read_metadata, save_tensors


def write_shard(file: Path, tensors: Dict[str, Tensor], about: Dict[str, Any]) -> None:
    """Write tensors by utterance, and metadata `about` them, atomically."""
    save_tensors(file, tensors, {**about, "order": list(tensors)})


def read_shard(file: Path, check: bool = True) -> Tuple[Dict[str, Tensor], Dict[str, Any]]:
    """Read what write_shard wrote, in the same order; raises UserError if the checksum doesn't match.

    `check=False` skips the checksum of a shard that make_shards has verified or written.
    """
    stored, about = load_tensors(file, check=check)
    return {name: stored[name] for name in about.pop("order")}, about


def made_of(file: Path) -> str:
    """Fingerprint of the inputs of a shard that make_shards has verified or written."""
    return str(read_metadata(file, check=False)["made_of"])


def make_shards(
    files: Sequence[Path],
    work: Callable[[int], None],
    jobs: int,
    done: Callable[[int], None],
    origins: Sequence[str],
    cluster: str = LOCAL,
) -> None:
    """Call work(index), which writes files[index], for each shard that must be made; `done` for every shard.

    An intact shard is kept if its fingerprint of inputs equals origins[index]. Other shards of the same kind
    in the folder, which are not in `files`, are removed.
    """
    for file in {*files[0].parent.glob(re.sub(r"\d+", "*", files[0].name))} - {*files}:
        remove(file)
    missing: List[int] = []
    for index, file in enumerate(files):
        if _is_fresh(file, origins[index]):
            done(index)
        else:
            missing.append(index)
    run_parallel(work, missing, jobs, lambda position, _: done(missing[position]), cluster)


def _is_fresh(file: Path, origin: str) -> bool:
    """Whether an intact shard with the fingerprint `origin` exists; a damaged one is reported."""
    try:
        return bool(read_metadata(file).get("made_of") == origin)
    except UserError as error:
        if os.path.lexists(file):
            print(f"decode: {error.found}; regenerating it", flush=True)
        return False

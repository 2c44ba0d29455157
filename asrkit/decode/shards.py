"""Shards of a decoding: one tensor an utterance, with a checksum, so that a damaged file is found out."""

from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

from torch import Tensor

from asrkit.errors import UserError
from asrkit.pipeline.parallel import run_parallel
from asrkit.storage.fingerprint import hash_bytes, hash_value
from asrkit.storage.tensors import load_tensors, save_tensors


def write_shard(file: Path, tensors: Dict[str, Tensor], about: Dict[str, Any]) -> None:
    """Write tensors by utterance and what belongs to them, whole or not at all."""
    save_tensors(
        file, tensors, {"about": about, "order": list(tensors), "checksum": _checksum(tensors, about)}
    )


def read_shard(file: Path) -> Tuple[Dict[str, Tensor], Dict[str, Any]]:
    """Read what write_shard wrote, in its order; raises UserError when a byte of it has changed."""
    stored, metadata = load_tensors(file)
    order, about = metadata.get("order", []), metadata.get("about", {})
    tensors = {name: stored[name] for name in order if name in stored}
    if len(tensors) != len(stored) or metadata.get("checksum") != _checksum(tensors, about):
        raise UserError(
            f"{file.name} is damaged: its checksum is another one",
            expected="what stage decode wrote",
            where=str(file),
            todo="run.sh --stage 8 makes it anew",
        )
    return tensors, about


def make_shards(
    files: Sequence[Path],
    work: Callable[[int], None],
    jobs: int,
    done: Callable[[int], None],
    made_of: Sequence[str] = (),
) -> None:
    """Call work(index), which writes files[index], for all that aren't there whole; `done` for each.

    A damaged file is named and made anew. Where `made_of` is given, a file is made anew, too, that doesn't
    say the same of itself, and other shards in its folder are removed.
    """
    if made_of:
        for file in {*files[0].parent.glob("*.safetensors")} - {*files}:
            file.unlink()
    missing: List[int] = []
    for index, file in enumerate(files):
        if is_whole(file, *made_of[index : index + 1]):
            done(index)
        else:
            missing.append(index)
    run_parallel(
        lambda position: work(missing[position]),
        len(missing),
        jobs,
        lambda position, _: done(missing[position]),
    )


def is_whole(file: Path, made_of: str = "") -> bool:
    """Whether a shard is there, undamaged and, if that is asked, `made_of` this; a damaged one is named."""
    if not file.exists():
        return False
    try:
        _, about = read_shard(file)
        return made_of in ("", about.get("made_of"))
    except UserError as error:
        print(f"decode: {error.found}; it is made anew", flush=True)
        return False


def _checksum(tensors: Dict[str, Tensor], about: Dict[str, Any]) -> str:
    content = {name: [list(each.shape), hash_bytes(each.numpy().tobytes())] for name, each in tensors.items()}
    return hash_value([content, about])

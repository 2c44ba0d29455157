"""Write files atomically: a temporary name in the same folder, sync, rename. Read JSON and JSON lines."""

import contextlib
import gzip
import itertools
import json
import os
import re
import shutil
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional

import msgspec

from asrkit.errors import UserError
from asrkit.storage.checksum import BLANK, check_checksum, write_checksum

LONGEST_LINE = 16 << 20  # bytes; without a limit, 3 MB of gzip may contain a line of 3 GB
# Of whole_file, and of safetensors while it writes
TEMPORARY = re.compile(r"\..+\.\d+\.part|\.tmp\w{6}")
UNREADABLE = (OSError, EOFError, ValueError, RecursionError, zlib.error)  # msgspec's errors are ValueErrors


@contextlib.contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Give a temporary path, which becomes `file` on leaving without an error.

    Raises UserError if the disk is full or the folder isn't writable.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        if file.is_dir():  # not ours to remove
            asides = (file.with_name(f".{file.name}.folder-{number}") for number in itertools.count(1))
            file.rename(next(aside for aside in asides if not os.path.lexists(aside)))
        os.replace(temporary, file)
        sync_directory(file.parent)
    except OSError as error:
        raise _unwritable(file, error, "then run the same command: nothing is damaged") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _unwritable(place: Path, error: OSError, todo: str) -> UserError:
    found = f"can't write {place}: {error.strerror or error}"
    todo = f"free some space or fix the permissions, {todo}"
    return UserError(found, "a writable directory with free space", str(place.parent), todo)


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder, which is renamed to `folder` at the end unless there was an error.

    One that a killed run left is removed first. Raises UserError if the disk is full or not writable.
    """
    partial = folder.with_name(f".{folder.name}.next")
    try:
        remove(partial)
        partial.mkdir(parents=True)
        yield partial
        os.rename(partial, folder)
        sync_directory(folder.parent)
    except OSError as error:
        raise _unwritable(folder, error, "or give another folder") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def require_writable(folder: Path, where: str) -> None:
    """Create a folder and check that it is writable, before hours of work; raises UserError if it isn't."""
    probe = folder / f".probe.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        found = f"can't write to {folder}: {error.strerror or error}"
        todo = "fix the permissions, or give another folder"
        raise UserError(found, "a writable directory", where, todo) from None


@contextlib.contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """An empty folder for temporary files, removed at the end; leftovers of a killed run are removed first.

    Raises UserError if the disk is full or the folder isn't writable.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        found = f"can't write temporary files: {error}"
        todo = "free some space or fix the permissions, then run the same command"
        raise UserError(found, "a writable directory with free space", str(folder), todo) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sync_directory(directory: Path) -> None:
    """Make renames in `directory` survive a power failure."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link(place: Path, target: Path) -> None:
    """Make `place` a link to `target`, atomically; it is relative, so both may move together."""
    temporary = place.with_name(f".{place.name}.{os.getpid()}.part")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(os.path.relpath(target, place.parent))
    os.replace(temporary, place)
    sync_directory(place.parent)


def write_bytes(file: Path, content: bytes) -> None:
    """Write `content` atomically."""
    with whole_file(file) as temporary:
        temporary.write_bytes(content)


def write_text(file: Path, content: str) -> None:
    """Write `content` as UTF-8, atomically; a lone surrogate becomes an escape."""
    write_bytes(file, content.encode("utf-8", "backslashreplace"))


def json_bytes(value: Any, **options: Any) -> bytes:
    """JSON in UTF-8; a lone surrogate, as in file names that aren't UTF-8, becomes JSON's own escape."""
    return json.dumps(value, ensure_ascii=False, **options).encode("utf-8", "backslashreplace")


def write_json(file: Path, value: Any) -> None:
    """Write `value` as indented JSON."""
    write_bytes(file, json_bytes(value, indent=2) + b"\n")


def write_checked_json(file: Path, value: Dict[str, Any], indent: Optional[int] = None) -> None:
    """Write an object with a checksum, which read_json checks."""
    with whole_file(file) as temporary:
        temporary.write_bytes(json_bytes({"checksum": BLANK, **value}, indent=indent))
        write_checksum(temporary)


def read_json(file: Path, kind: Any = Any, checked: bool = False) -> Any:
    """Read JSON of type `kind`; raises UserError if it is missing, damaged or of another type.

    A checksum is compared and left out. `checked`: one is required.
    """
    try:
        check_checksum(file, needed=checked)
        value = _parse(file.read_bytes(), kind)
    except UNREADABLE as error:
        raise _unreadable(file, error, "a JSON file that a stage wrote") from None
    if isinstance(value, dict):
        value.pop("checksum", None)
    return value


def _parse(content: bytes, kind: Any) -> Any:
    value = json.loads(content.decode("utf-8"))
    msgspec.convert(value, kind)
    return value


def _unreadable(file: Path, error: BaseException, expected: str) -> UserError:
    todo = "run.sh, without --stage, regenerates it"
    return UserError(f"can't read {file}: {error}", expected, str(file), todo)


@contextlib.contextmanager
def jsonl_gz_writer(file: Path) -> Iterator[Callable[[Dict[str, Any]], None]]:
    """Give a function that writes one row of gzipped JSON lines; no time stamp is written."""
    with (
        whole_file(file) as temporary,
        open(temporary, "wb") as target,
        gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0, compresslevel=6) as stream,
    ):
        yield lambda row: _write_row(stream, row)


def write_jsonl(file: Path, rows: Iterable[Dict[str, Any]]) -> None:
    """Write rows as JSON lines."""
    with whole_file(file) as temporary, open(temporary, "wb") as stream:
        for row in rows:
            _write_row(stream, row)


def _write_row(stream: Any, row: Dict[str, Any]) -> None:
    stream.write(json_bytes(row) + b"\n")


def read_jsonl(file: Path, kind: Any = Dict[str, Any]) -> List[Dict[str, Any]]:
    """Read JSON lines of type `kind`, gzipped or not; raises UserError as iterate_jsonl does."""
    return list(iterate_jsonl(file, kind))


def iterate_jsonl(file: Path, kind: Any = Dict[str, Any]) -> Iterator[Dict[str, Any]]:
    """Iterate over JSON lines; UserError if missing, damaged, of another type, or a line exceeds 16 MiB."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(LONGEST_LINE + 1), b""), start=1):
                if len(line) > LONGEST_LINE:
                    raise ValueError(f"line {number} has more than {LONGEST_LINE >> 20} MiB")
                if line.strip():
                    yield _parse(line, kind)
    except UNREADABLE as error:
        raise _unreadable(file, error, "JSON lines that a stage wrote") from None


def remove(place: Path) -> None:
    """Remove a file, a link or a folder, if it exists."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        with contextlib.suppress(FileNotFoundError):
            place.unlink()


def sweep(folder: Path) -> None:
    """Remove half-written files of killed runs below a folder, except in folders with a lock of their own."""
    for place, folders, files in os.walk(folder):
        if ".lock" in files and Path(place) != folder:
            folders.clear()
            continue
        for name in files:
            if TEMPORARY.fullmatch(name):
                remove(Path(place, name))

"""Write a file whole or not at all: temporary name in the same folder, sync, rename."""

import contextlib
import gzip
import json
import os
import shutil
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List

from asrkit.errors import UserError


@contextlib.contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Give a temporary path to write to; on leaving without error it becomes `file`.

    Raises UserError when the disk is full or the folder can't be written.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, file)
        sync_directory(file.parent)
    except OSError as error:
        raise UserError(
            f"can't write {file}: {error.strerror or error}",
            expected="a folder one may write to, with free space",
            where=str(file.parent),
            todo="free some space or mend the permissions, then run the same command: nothing is damaged",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """An empty folder for temporary files, removed at the end; what a killed run left in it goes first.

    Raises UserError when the disk is full or the folder can't be written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        raise UserError(
            f"can't write temporary files: {error}",
            expected="a folder one may write to, with free space",
            where=str(folder),
            todo="free some space or mend the permissions, then run the same command",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sync_directory(directory: Path) -> None:
    """Make renames in `directory` survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link(place: Path, target: Path) -> None:
    """Make `place` a link to `target`, in one step; the link is relative, so both may move together."""
    temporary = place.with_name(f".{place.name}.{os.getpid()}.part")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(os.path.relpath(target, place.parent))
    os.replace(temporary, place)
    sync_directory(place.parent)


def write_bytes(file: Path, content: bytes) -> None:
    """Write `content`, whole or not at all."""
    with whole_file(file) as temporary:
        temporary.write_bytes(content)


def write_text(file: Path, content: str) -> None:
    """Write `content` as UTF-8, whole or not at all; a lone surrogate becomes an escape."""
    write_bytes(file, content.encode("utf-8", "backslashreplace"))


def json_bytes(value: Any, **options: Any) -> bytes:
    """JSON in UTF-8; a lone surrogate, as in file names that aren't UTF-8, becomes JSON's own escape."""
    return json.dumps(value, ensure_ascii=False, **options).encode("utf-8", "backslashreplace")


def write_json(file: Path, value: Any) -> None:
    """Write `value` as indented JSON."""
    write_bytes(file, json_bytes(value, indent=2) + b"\n")


def read_json(file: Path) -> Any:
    """Read JSON; raises UserError when it is missing or damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"can't read {file}: {error}",
            expected="a JSON file that a stage wrote",
            where=str(file),
            todo="run.sh, without --stage, makes it anew",
        ) from None


@contextlib.contextmanager
def jsonl_gz_writer(file: Path) -> Iterator[Callable[[Dict[str, Any]], None]]:
    """Give what writes one row of gzipped JSON lines; the bytes depend on the rows alone (no time stamp)."""
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


def read_jsonl(file: Path) -> List[Dict[str, Any]]:
    """Read JSON lines, gzipped or not; UserError when the file is missing or damaged."""
    return list(iterate_jsonl(file))


def iterate_jsonl(file: Path) -> Iterator[Dict[str, Any]]:
    """Read JSON lines one at a time, gzipped or not; UserError when the file is missing or damaged."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as stream:
            for line in stream:
                if line.strip():
                    yield json.loads(line)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(
            f"can't read {file}: {error}",
            expected="JSON lines that a stage wrote",
            where=str(file),
            todo="run.sh, without --stage, makes it anew",
        ) from None

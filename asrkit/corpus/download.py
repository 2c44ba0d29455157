"""Download published files, resuming interrupted transfers, and unpack archives safely."""

import bz2
import dataclasses
import errno
import glob
import gzip
import hashlib
import http.client
import io
import lzma
import os
import platform
import re
import shutil
import stat
import tarfile
import urllib.error
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any, Callable, Dict, Iterator, List, Optional, Tuple, cast

from asrkit.corpus.transfer import transfer
from asrkit.errors import UserError, escape
from asrkit.storage.files import sync_directory

BLOCK_BYTES = 1 << 20
UNPACKED_RATIO = 50  # text shrinks to a tenth at best, audio to a third
UNPACKED_BYTES = 100_000_000  # allowed for any archive
MEMBER_BYTES = 512  # minimum per member, or empty ones could use up the disk's inodes
SUMMED = (".gz", ".tgz", ".bz2", ".xz", ".zip")  # formats with a checksum inside
COMPRESSED: Dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
OPENSLR = ("www.openslr.org", "us.openslr.org", "openslr.elda.org", "openslr.trmal.net")
OWN_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
DISTRUST = "don't use this archive; fetch the corpus from its publisher"


@dataclasses.dataclass(frozen=True)
class Archive:
    """A published tar or zip archive, or a single file."""

    addresses: Tuple[str, ...]  # tried in this order
    top: str = ""  # the one folder in the archive; empty: a file, which isn't unpacked
    sha256: Optional[str] = None
    md5: Optional[str] = None
    inner: str = ""  # pattern of tar files inside, which are unpacked in place and removed
    content: Tuple[str, ...] = ()  # names of the folders that this and other archives have in `top`

    def folder(self, corpus_directory: Path) -> Path:
        """The unpacked folder; --corpus-dir may name it or its parent."""
        inside = corpus_directory / self.top
        return inside if inside.is_dir() else corpus_directory

    def target(self, corpus_directory: Path) -> Path:
        """The folder to unpack into, beside earlier archives; --corpus-dir may name it or its parent."""
        inside = corpus_directory / self.top
        holds_some = any((corpus_directory / name).is_dir() for name in self.content)
        return corpus_directory if holds_some and not inside.is_dir() else inside


def openslr_addresses(resource: int, name: str) -> Tuple[str, ...]:
    """Addresses of a file of an OpenSLR resource, mirrors included."""
    return tuple(f"https://{host}/resources/{resource}/{name}" for host in OPENSLR)


def fetch_corpus(archive: Archive, corpus_directory: Path, mirror: Optional[str] = None) -> None:
    """Download `archive` to `corpus_directory` and unpack it; its folder appears only when it is complete.

    `mirror` (corpus.mirror) is tried first for OpenSLR resources. If an address can't be reached or has a bad
    file, the next is tried. Files that exist are kept. Raises UserError if no address works.
    """
    _, of_openslr, resource = archive.addresses[0].partition("/resources/")
    preferred = [f"{mirror.rstrip('/')}/{resource}"] if mirror and of_openslr else []
    file = corpus_directory / archive.addresses[0].rsplit("/", 1)[1]
    try:
        corpus_directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = f"can't make the folder {corpus_directory}: {error.strerror}"
        todo = "name another with --corpus-dir"
        raise UserError(found, "a folder for the corpus", str(corpus_directory), todo) from None
    # Marks an archive that was downloaded here, which is removed once unpacked; a user's own file is kept
    fetched = file.with_name(f".{file.name}.fetched")
    if file.exists():
        _take(archive, file, corpus_directory)
        if fetched.exists() and fetched.read_text() == _stamp(file):  # a run was killed while unpacking it
            file.unlink()
        fetched.unlink(missing_ok=True)
        return
    failures: List[str] = []
    for address in dict.fromkeys([*preferred, *archive.addresses]):
        print(f"fetching {escape(address)}", flush=True)
        try:
            transfer(address, file, summed=bool(archive.sha256 or archive.md5 or file.suffix in SUMMED))
            if archive.top:
                fetched.write_text(_stamp(file))
            _take(archive, file, corpus_directory)
        except (OSError, ValueError, http.client.HTTPException) as error:
            _refuse_own_disk(error, corpus_directory)
            failures.append(f"{address}: {getattr(error, 'reason', error)}")
        except UserError as error:  # a bad file
            _refuse_own_disk(error.__cause__, corpus_directory)
            file.replace(file.with_name(file.name + ".wrong"))
            fetched.unlink(missing_ok=True)
            expected = f", expected {error.expected}" if error.expected else ""
            failures.append(f"{address}: {error.found}{expected} (kept as {file.name}.wrong)")
        else:
            for part in corpus_directory.glob(f"{glob.escape(file.name)}.*.part*"):
                part.unlink()  # from other addresses
            if archive.top:
                file.unlink()
                fetched.unlink(missing_ok=True)
            return
    wanted = archive.top or file.name
    raise UserError(
        "can't fetch the corpus:" + "".join(f"\n    {escape(failure)}" for failure in failures),
        f"{wanted} in {corpus_directory}, or a network to fetch it",
        str(corpus_directory),
        f"fetch {archive.addresses[0]} elsewhere and put it, or {wanted} from it, into {corpus_directory}; "
        f"or name the folder with {wanted} with --corpus-dir",
    )


def _stamp(file: Path) -> str:
    status = file.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # a process of another user
        pass
    return True


def unpack(file: Path, top: str, directory: Path, inner: str = "", target: Optional[Path] = None) -> None:
    """Unpack a tar or zip file with all members in folder `top`; links, devices and `..` are refused.

    The folder becomes `target`, by default directory/top; files that exist there are kept. Tar files inside
    that match `inner` are unpacked in their folders; their members may be anywhere below.
    """
    own = f".{file.name}.{platform.node()}."  # another machine may be unpacking it to the same disk
    temporary = directory / f"{own}{os.getpid()}.part"
    limit = _Limit(file)
    for left in directory.glob(f"{glob.escape(own)}*.part"):
        number = re.fullmatch(r"(\d+)\.part", left.name[len(own) :])
        if number and not _is_running(int(number[1])):  # left by a run that was killed
            shutil.rmtree(left, ignore_errors=True)
    try:
        _extract(file, top, temporary, limit)
        for nested in sorted(temporary.glob(inner)) if inner else []:
            _extract(nested, "", nested.parent, limit)
            nested.unlink()
        if not (temporary / top).is_dir():
            raise UserError(f"{file} has no folder {top}", f"an archive of {top}", str(file))
        _move_missing(temporary / top, target or directory / top)
        sync_directory(directory)
    except UserError:
        raise
    except Exception as error:  # damaged archives raise almost any exception
        found = f"can't unpack {file}: {error or type(error).__name__}"
        todo = f"delete {file} and run stage download again"
        raise UserError(found, "an undamaged archive, and space to unpack it", str(file), todo) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class _Limit:
    """How much an archive may still unpack to, so that a small one can't fill the disk."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.left = UNPACKED_BYTES + UNPACKED_RATIO * file.stat().st_size

    def take(self, size: int) -> None:
        """Count a member; raises UserError if the total is too large."""
        self.left -= max(0, size) + MEMBER_BYTES
        if self.left < 0:
            found = f"{self.file.name} unpacks to more than {UNPACKED_RATIO} times its size"
            raise UserError(found, "an archive of audio and text", str(self.file), DISTRUST)


class _Stream:
    """A tar stream that refuses to read huge headers into memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if size > 4 * BLOCK_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._stream.read(size)


def _take(archive: Archive, file: Path, corpus_directory: Path) -> None:
    """Check a file and unpack it; raises UserError if it isn't the published one."""
    name, published = ("SHA-256", archive.sha256) if archive.sha256 else ("MD5", archive.md5)
    if published is not None:
        digest = hashlib.sha256() if archive.sha256 else hashlib.md5(usedforsecurity=False)
        with open(file, "rb") as stream:
            for block in _blocks(stream):
                digest.update(block)
        if digest.hexdigest() != published:
            todo = "move it away, and run stage download again"
            raise UserError(f"{file} has {name} {digest.hexdigest()}", published, str(file), todo)
    if archive.top:
        unpack(file, archive.top, corpus_directory, archive.inner, archive.target(corpus_directory))
    elif published is None:
        _check_content(file)


def _move_missing(source: Path, target: Path) -> None:
    """Move a file or folder; into a folder that exists, move only what is missing there."""
    if not target.exists():
        os.replace(source, target)
    elif source.is_dir() and target.is_dir():
        for child in sorted(source.iterdir()):
            _move_missing(child, target / child.name)


def _extract(file: Path, top: str, directory: Path, limit: _Limit) -> None:
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                limit.take(entry.file_size)
                kind = stat.S_IFMT(entry.external_attr >> 16)  # 0 if the packing system has no modes
                plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
                content = None if entry.is_dir() else archive.open(entry)
                _write_member(entry.filename, plain, content, top, directory, file)
    else:
        with _open(file) as stream, tarfile.open(fileobj=cast(IO[bytes], _Stream(stream)), mode="r:") as tar:
            for member in tar:
                limit.take(member.size)
                plain = member.isfile() or member.isdir()
                _write_member(
                    member.name, plain, tar.extractfile(member) if plain else None, top, directory, file
                )
            try:
                for block in _blocks(stream):  # up to its checksum
                    limit.take(len(block))
            except gzip.BadGzipFile as error:
                if "Not a gzipped file" not in str(error):  # trailing bytes are ignored
                    raise


def _open(file: Path) -> IO[bytes]:
    """Open a file, decompressed if it is compressed."""
    with open(file, "rb") as stream:
        begin = stream.read(6)
    for magic, opened in COMPRESSED.items():
        if begin.startswith(magic):
            return cast(IO[bytes], opened(file))
    return open(file, "rb")


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: stream.read(BLOCK_BYTES), b"")


def _write_member(
    name: str, plain: bool, content: Optional[IO[bytes]], top: str, directory: Path, file: Path
) -> None:
    """Write a file of an archive, or a folder if `content` is None; raises UserError for anything else."""
    parts = [part for part in PurePosixPath(name).parts if part != "."]
    if not parts:
        return
    outside = parts[0] != (top or parts[0]) or parts[0].startswith("/") or ".." in parts
    if outside or not plain or any(character in name for character in "\\\0"):
        found = f"{file.name} has a member {name}, which isn't a file or folder inside {top}"
        raise UserError(found, f"plain files below {top} only", str(file), DISTRUST)
    target = directory.joinpath(*parts)
    if content is None:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with content, open(target, "wb") as output:
        shutil.copyfileobj(content, output, BLOCK_BYTES)


def _check_content(file: Path) -> None:
    """Raise UserError if a file without a published checksum is damaged, empty or a web page."""
    try:
        with _open(file) as stream:
            if file.suffix in SUMMED and isinstance(stream, io.BufferedReader):
                raise OSError(f"it isn't compressed as {file.suffix}")
            begin = stream.read(BLOCK_BYTES)
            for _ in _blocks(stream):
                pass
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{file} is damaged: {error}", "an undamaged file", str(file)) from error
    page = begin.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html"))
    if not begin or (page and file.suffix not in (".html", ".htm")):
        found = "is a web page" if begin else "is empty"
        raise UserError(f"{file} {found}", "the published file", str(file))


def _refuse_own_disk(error: Optional[BaseException], directory: Path) -> None:
    """Raise UserError for an error of the local disk, because no other address helps."""
    if (
        isinstance(error, OSError)
        and error.errno in OWN_DISK
        and not isinstance(error, urllib.error.URLError)
    ):
        raise UserError(
            f"can't write the corpus: {error.strerror}",
            "a writable directory with space for the archive and its content",
            str(directory),
            "free some space or fix the permissions, or name another folder with --corpus-dir",
        ) from None

"""Fetch published files, resuming a broken transfer, and unpack archives without trusting them."""

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
import shutil
import stat
import tarfile
import urllib.error
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any, Callable, Dict, List, Optional, Tuple, cast

from asrkit.corpus.transfer import transfer
from asrkit.errors import UserError, escape
from asrkit.storage.files import sync_directory

BLOCK_BYTES = 1 << 20
UNPACKED_RATIO = 50  # text shrinks to a tenth at best, audio to a third
UNPACKED_BYTES = 100_000_000  # that any archive may have
MEMBER_BYTES = 512  # that each member counts for at least, or empty ones could take all of a disk's inodes
SUMMED = (".gz", ".tgz", ".bz2", ".xz", ".zip")  # with a checksum inside
COMPRESSED: Dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
OPENSLR = ("www.openslr.org", "us.openslr.org", "openslr.elda.org", "openslr.trmal.net")


@dataclasses.dataclass(frozen=True)
class Archive:
    """A published tar or zip archive, or a file that is used as it is."""

    addresses: Tuple[str, ...]  # tried in this order
    top: str = ""  # the one folder it unpacks to; empty: it isn't unpacked
    sha256: Optional[str] = None
    md5: Optional[str] = None
    inner: str = ""  # pattern of the tar files in it that are unpacked where they lie, then removed

    def folder(self, corpus_directory: Path) -> Path:
        """What it was unpacked to; the corpus's folder itself may be that."""
        inside = corpus_directory / self.top
        return inside if inside.is_dir() else corpus_directory


def openslr_addresses(resource: int, name: str) -> Tuple[str, ...]:
    """Where a file of an OpenSLR resource is published: there, and on its mirrors."""
    return tuple(f"https://{host}/resources/{resource}/{name}" for host in OPENSLR)


def fetch_corpus(archive: Archive, corpus_directory: Path, mirror: Optional[str] = None) -> None:
    """Download `archive` into `corpus_directory` and unpack it there; what it holds appears when it is whole.

    `mirror` is asked first for what OpenSLR has, see corpus.mirror; where an address can't be reached or has
    a bad file the next one is asked. Folders that are there already keep their files. Raises UserError,
    naming the folder to put the corpus in, when no address has it.
    """
    _, of_openslr, resource = archive.addresses[0].partition("/resources/")
    preferred = [f"{mirror.rstrip('/')}/{resource}"] if mirror and of_openslr else []
    file = corpus_directory / archive.addresses[0].rsplit("/", 1)[1]
    _make_directory(corpus_directory)
    if file.exists():  # an archive that the user put there is used, and left there
        _take(archive, file, corpus_directory)
        return
    failures: List[str] = []
    for address in dict.fromkeys([*preferred, *archive.addresses]):
        print(f"fetching {escape(address)}", flush=True)
        try:
            transfer(address, file, summed=bool(archive.sha256 or archive.md5 or file.suffix in SUMMED))
            _take(archive, file, corpus_directory)
        except (OSError, ValueError, http.client.HTTPException) as error:
            _refuse_own_disk(error, corpus_directory)
            failures.append(f"{address}: {getattr(error, 'reason', error)}")
        except UserError as error:  # the file is bad
            _refuse_own_disk(error.__cause__, corpus_directory)
            file.replace(file.with_name(file.name + ".wrong"))
            expected = f", expected {error.expected}" if error.expected else ""
            failures.append(f"{address}: {error.found}{expected} (kept as {file.name}.wrong)")
        else:
            for part in corpus_directory.glob(f"{glob.escape(file.name)}.*.part*"):
                part.unlink()  # of other addresses
            if archive.top:
                file.unlink()
            return
    raise _not_reached(archive, corpus_directory, failures)


def _take(archive: Archive, file: Path, corpus_directory: Path) -> None:
    """Check a file that was fetched or given, and unpack it; UserError where it isn't what was published."""
    _check_sum(archive, file)
    if archive.top:
        unpack(file, archive.top, corpus_directory, archive.inner)
    elif not archive.sha256 and not archive.md5:
        _check_content(file)


def unpack(file: Path, top: str, directory: Path, inner: str = "") -> None:
    """Unpack a tar or zip file whose members all lie in folder `top`; links, devices and `..` are refused.

    Tar files in it that fit the pattern `inner` are unpacked in turn, each beside itself; their
    members may lie in any folder.
    """
    temporary = directory / f".{file.name}.{os.getpid()}.part"
    limit = _Limit(file)
    try:
        _extract(file, top, temporary, limit)
        for nested in sorted(temporary.glob(inner)) if inner else []:
            _extract(nested, "", nested.parent, limit)
            nested.unlink()
        if not (temporary / top).is_dir():
            raise UserError(f"{file} has no folder {top}", expected=f"an archive of {top}", where=str(file))
        _move_missing(temporary / top, directory / top)
        sync_directory(directory)
    except UserError:
        raise
    except Exception as error:  # the readers of archives raise almost any on a damaged one
        raise UserError(
            f"can't unpack {file}: {error or type(error).__name__}",
            expected="a whole archive, and space to unpack it",
            where=str(file),
            todo=f"delete {file} and run stage download again",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class _Limit:
    """How much an archive may still unpack to, so that a small one can't fill the disk."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.left = UNPACKED_BYTES + UNPACKED_RATIO * file.stat().st_size

    def take(self, size: int) -> None:
        """Count a member; UserError when they are too many or too large."""
        self.left -= max(0, size) + MEMBER_BYTES
        if self.left < 0:
            raise UserError(
                f"{self.file.name} unpacks to more than {UNPACKED_RATIO} times its size",
                expected="an archive of audio and text",
                where=str(self.file),
                todo="don't use this archive; fetch the corpus from its publisher",
            )


class _Stream:
    """What is inside a compressed tar file; a member's header of any claimed size isn't read into memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if size > 4 * BLOCK_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._stream.read(size)


def _move_missing(source: Path, target: Path) -> None:
    """Move a file or folder to where it belongs; of a folder that is there, what is missing in it."""
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
                kind = stat.S_IFMT(entry.external_attr >> 16)  # 0 where the system that packed it has none
                plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
                content = None if entry.is_dir() else archive.open(entry)
                _write_member(entry.filename, plain, content, top, directory, file)
    else:
        with _open(file) as stream, tarfile.open(fileobj=cast(IO[bytes], _Stream(stream)), mode="r:") as tar:
            for member in tar:
                limit.take(member.size)
                plain = member.isfile() or member.isdir()
                content = tar.extractfile(member) if member.isfile() else None
                _write_member(member.name, plain, content, top, directory, file)
            try:
                for block in iter(lambda: stream.read(BLOCK_BYTES), b""):  # to the checksum at its end
                    limit.take(len(block))
            except gzip.BadGzipFile as error:
                if "Not a gzipped file" not in str(error):  # what follows is no part of it
                    raise


def _open(file: Path) -> IO[bytes]:
    """The content of a file, unpacked if it is compressed."""
    with open(file, "rb") as stream:
        begin = stream.read(6)
    for magic, opened in COMPRESSED.items():
        if begin.startswith(magic):
            return cast(IO[bytes], opened(file))
    return open(file, "rb")


def _write_member(
    name: str, plain: bool, content: Optional[IO[bytes]], top: str, directory: Path, file: Path
) -> None:
    """Write one member of an archive, a folder where it has no content; UserError for anything else."""
    parts = [part for part in PurePosixPath(name).parts if part != "."]
    if not parts:
        return
    outside = parts[0] != (top or parts[0]) or parts[0].startswith("/") or ".." in parts
    if outside or not plain or any(character in name for character in "\\\0"):
        raise UserError(
            f"{file.name} holds {name}, which isn't a file or folder inside {top}",
            expected=f"plain files below {top} only",
            where=str(file),
            todo="don't use this archive; fetch the corpus from its publisher",
        )
    target = directory.joinpath(*parts)
    if content is None:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with content, open(target, "wb") as output:
        shutil.copyfileobj(content, output, BLOCK_BYTES)


def _check_content(file: Path) -> None:
    """Raise UserError when a file whose sum isn't published can't be what its name promises."""
    try:
        with _open(file) as stream:
            if file.suffix in SUMMED and isinstance(stream, io.BufferedReader):
                raise OSError(f"it isn't compressed as {file.suffix}")
            begin = stream.read(BLOCK_BYTES)
            while stream.read(BLOCK_BYTES):
                pass
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{file} is damaged: {error}", expected="a whole file", where=str(file)) from error
    page = begin.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html"))
    if not begin or (page and file.suffix not in (".html", ".htm")):
        found = "is a web page" if begin else "is empty"
        raise UserError(f"{file} {found}", expected="the file itself", where=str(file))


def _check_sum(archive: Archive, file: Path) -> None:
    name, published = ("SHA-256", archive.sha256) if archive.sha256 else ("MD5", archive.md5)
    if published is None:
        return
    digest = hashlib.sha256() if archive.sha256 else hashlib.md5(usedforsecurity=False)
    with open(file, "rb") as stream:
        for block in iter(lambda: stream.read(BLOCK_BYTES), b""):
            digest.update(block)
    if digest.hexdigest() != published:
        raise UserError(
            f"{file} has {name} {digest.hexdigest()}",
            expected=published,
            where=str(file),
            todo="move it away, and run stage download again to fetch it once more",
        )


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"can't make the folder {directory}: {error.strerror}",
            expected="a folder to put the corpus in",
            where=str(directory),
            todo="name another with --corpus-dir",
        ) from None


def _refuse_own_disk(error: Optional[BaseException], directory: Path) -> None:
    """Raise UserError where an error comes from the disk here, for then no other address helps."""
    own = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
    if isinstance(error, OSError) and error.errno in own and not isinstance(error, urllib.error.URLError):
        raise UserError(
            f"can't write the corpus: {error.strerror}",
            expected="a writable directory, with space for the archive and what it unpacks to",
            where=str(directory),
            todo="free some space or fix the permissions, or name another folder with --corpus-dir",
        ) from None


def _not_reached(archive: Archive, directory: Path, failures: List[str]) -> UserError:
    held = archive.top or archive.addresses[0].rsplit("/", 1)[1]
    return UserError(
        "can't fetch the corpus:" + "".join(f"\n    {escape(failure)}" for failure in failures),
        expected=f"{held} in {directory}, or a network to fetch it",
        where=str(directory),
        todo=f"fetch {archive.addresses[0]} elsewhere and put it, or {held} out of it, "
        f"into {directory}; or name the folder that holds {held} with --corpus-dir",
    )

"""Fetch published files, resuming a broken transfer, and unpack archives without trusting them."""

import dataclasses
import hashlib
import http.client
import os
import shutil
import stat
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, List, Optional, Tuple

from asrkit.errors import UserError
from asrkit.pipeline.progress import Progress
from asrkit.storage.files import sync_directory
from asrkit.storage.fingerprint import hash_value

BLOCK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30
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

    `mirror` is asked first for what OpenSLR has, see corpus.mirror. Folders that are there already keep
    their files. Raises UserError, naming the folder to put the corpus in, when no address can be reached.
    """
    _, of_openslr, resource = archive.addresses[0].partition("/resources/")
    preferred = [f"{mirror.rstrip('/')}/{resource}"] if mirror and of_openslr else []
    file = corpus_directory / archive.addresses[0].rsplit("/", 1)[1]
    _make_directory(corpus_directory)
    own = not file.exists()  # an archive that the user put there is used, and left there
    if own:
        failures: List[str] = []
        for address in [*preferred, *archive.addresses]:
            try:
                print(f"fetching {address}", flush=True)
                _transfer(address, file)
                break
            except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
                failures.append(f"{address}: {getattr(error, 'reason', error)}")
        else:
            raise _not_reached(archive, corpus_directory, failures)
    _check_sum(archive, file)
    if archive.top:
        unpack(file, archive.top, corpus_directory, archive.inner)
        if own:
            file.unlink()


def unpack(file: Path, top: str, directory: Path, inner: str = "") -> None:
    """Unpack a tar or zip file whose members all lie in folder `top`; links, devices and `..` are refused.

    Tar files in it that fit the pattern `inner` are unpacked in turn, each beside itself; their
    members may lie in any folder.
    """
    temporary = directory / f".{file.name}.{os.getpid()}.part"
    try:
        _extract(file, top, temporary)
        for nested in sorted(temporary.glob(inner)) if inner else []:
            _extract(nested, "", nested.parent)
            nested.unlink()
        if not (temporary / top).is_dir():
            raise UserError(f"{file} has no folder {top}", expected=f"an archive of {top}", where=str(file))
        _move_missing(temporary / top, directory / top)
        sync_directory(directory)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise UserError(
            f"can't unpack {file}: {error}",
            expected="a whole archive, and space to unpack it",
            where=str(file),
            todo=f"delete {file} and run stage 0 again",
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move_missing(source: Path, target: Path) -> None:
    """Move a file or folder to where it belongs; of a folder that is there, what is missing in it."""
    if not target.exists():
        os.replace(source, target)
    elif source.is_dir() and target.is_dir():
        for child in sorted(source.iterdir()):
            _move_missing(child, target / child.name)


def _extract(file: Path, top: str, directory: Path) -> None:
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                kind = stat.S_IFMT(entry.external_attr >> 16)  # 0 where the system that packed it has none
                plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
                content = None if entry.is_dir() else archive.open(entry)
                _write_member(entry.filename, plain, content, top, directory, file)
    else:
        with tarfile.open(file) as tar:
            for member in tar:
                plain = member.isfile() or member.isdir()
                content = tar.extractfile(member) if member.isfile() else None
                _write_member(member.name, plain, content, top, directory, file)


def _write_member(
    name: str, plain: bool, content: Optional[IO[bytes]], top: str, directory: Path, file: Path
) -> None:
    """Write one member of an archive, a folder where it has no content; UserError for anything else."""
    parts = [part for part in PurePosixPath(name).parts if part != "."]
    if not parts:
        return
    outside = parts[0] != (top or parts[0]) or parts[0].startswith("/") or ".." in parts
    if outside or "\\" in name or not plain:
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


def _transfer(address: str, file: Path) -> None:
    """Fetch `address` into `file` by way of a .part file, which a later call goes on with."""
    part = file.with_name(f"{file.name}.{hash_value(address)[:8]}.part")
    held = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={held}-"} if held else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not held:  # 416: nothing after what is held
            raise
        part.unlink()
        response = urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS)
    with response:
        resumed = response.status == 206
        length = response.headers.get("Content-Length")
        expected = int(length) + (held if resumed else 0) if length else None
        total = expected and expected // BLOCK_BYTES
        with open(part, "ab" if resumed else "wb") as output, Progress(file.name, total, "MiB") as bar:
            bar.advance(count=output.tell() // BLOCK_BYTES)
            for block in iter(lambda: response.read(BLOCK_BYTES), b""):
                output.write(block)
                bar.advance(count=len(block) // BLOCK_BYTES)
            output.flush()
            os.fsync(output.fileno())
    if expected is not None and part.stat().st_size != expected:
        raise OSError(f"broke off at {part.stat().st_size} of {expected} bytes; a further run goes on")
    os.replace(part, file)
    sync_directory(file.parent)


def _check_sum(archive: Archive, file: Path) -> None:
    name, published = ("SHA-256", archive.sha256) if archive.sha256 else ("MD5", archive.md5)
    if published is None:
        return
    digest = hashlib.sha256() if archive.sha256 else hashlib.md5(usedforsecurity=False)
    with open(file, "rb") as stream:
        for block in iter(lambda: stream.read(BLOCK_BYTES), b""):
            digest.update(block)
    if digest.hexdigest() != published:
        file.rename(file.with_name(file.name + ".wrong"))
        raise UserError(
            f"{file} has {name} {digest.hexdigest()}",
            expected=published,
            where=str(file),
            todo=f"it was renamed to {file.name}.wrong; run stage 0 again to fetch it once more",
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


def _not_reached(archive: Archive, directory: Path, failures: List[str]) -> UserError:
    held = archive.top or archive.addresses[0].rsplit("/", 1)[1]
    return UserError(
        f"can't fetch the corpus: {'; '.join(failures)}",
        expected=f"{held} in {directory}, or a network to fetch it",
        where=str(directory),
        todo=f"fetch {archive.addresses[0]} elsewhere and put it, or {held} out of it, "
        f"into {directory}; or name the folder that holds {held} with --corpus-dir",
    )

"""Fetch a published archive, resuming a broken transfer, and unpack it without trusting it."""

import dataclasses
import hashlib
import http.client
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zlib
from pathlib import Path, PurePosixPath
from typing import List, Optional, Tuple

from asrkit.errors import UserError
from asrkit.storage.files import sync_directory
from asrkit.storage.fingerprint import hash_value

BLOCK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30


@dataclasses.dataclass(frozen=True)
class Archive:
    """A published tar archive."""

    addresses: Tuple[str, ...]  # tried in this order
    top: str  # the one folder it unpacks to
    sha256: Optional[str] = None


def fetch_corpus(archive: Archive, corpus_directory: Path) -> None:
    """Download `archive` into `corpus_directory` and unpack it there; `top` appears whole or not at all.

    Raises UserError, naming the folder to put the corpus in, when no address can be reached.
    """
    name = archive.addresses[0].rsplit("/", 1)[1]
    file = corpus_directory / name
    _make_directory(corpus_directory)
    own = not file.exists()  # an archive that the user put there is used, and left there
    if own:
        failures: List[str] = []
        for address in archive.addresses:
            try:
                print(f"fetching {address}")
                _transfer(address, file)
                break
            except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
                failures.append(f"{address}: {getattr(error, 'reason', error)}")
        else:
            raise _not_reached(archive, corpus_directory, failures)
    _check_sum(archive, file)
    unpack(file, archive.top, corpus_directory)
    if own:
        file.unlink()


def unpack(file: Path, top: str, directory: Path) -> None:
    """Unpack a tar file whose members all lie in folder `top`; links, devices and `..` are refused."""
    temporary = directory / f".{top}.{os.getpid()}.part"
    try:
        with tarfile.open(file) as tar:
            for member in tar:
                _extract_member(tar, member, top, temporary, file)
        if not (temporary / top).is_dir():
            raise UserError(f"{file} has no folder {top}", expected=f"an archive of {top}", where=str(file))
        os.replace(temporary / top, directory / top)
        sync_directory(directory)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise UserError(
            f"can't unpack {file}: {error}",
            expected="a whole tar archive, and space to unpack it",
            where=str(file),
            todo=f"delete {file} and run stage 0 again",
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _extract_member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, top: str, directory: Path, file: Path
) -> None:
    parts = [part for part in PurePosixPath(member.name).parts if part != "."]
    if not parts:
        return
    if parts[0] != top or ".." in parts or "\\" in member.name or not (member.isfile() or member.isdir()):
        raise UserError(
            f"{file.name} holds {member.name}, which isn't a file or folder inside {top}",
            expected=f"plain files below {top} only",
            where=str(file),
            todo="don't use this archive; fetch the corpus from its publisher",
        )
    target = directory.joinpath(*parts)
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None
    with source, open(target, "wb") as output:
        shutil.copyfileobj(source, output, BLOCK_BYTES)


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
        with open(part, "ab" if resumed else "wb") as output:
            shutil.copyfileobj(response, output, BLOCK_BYTES)
            output.flush()
            os.fsync(output.fileno())
    if expected is not None and part.stat().st_size != expected:
        raise OSError(f"broke off at {part.stat().st_size} of {expected} bytes; a further run goes on")
    os.replace(part, file)
    sync_directory(file.parent)


def _check_sum(archive: Archive, file: Path) -> None:
    if archive.sha256 is None:
        return
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        for block in iter(lambda: stream.read(BLOCK_BYTES), b""):
            digest.update(block)
    if digest.hexdigest() != archive.sha256:
        file.rename(file.with_name(file.name + ".wrong"))
        raise UserError(
            f"{file} has SHA-256 {digest.hexdigest()}",
            expected=archive.sha256,
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
    return UserError(
        f"can't fetch the corpus: {'; '.join(failures)}",
        expected=f"the folder {archive.top} in {directory}, or a network to fetch it",
        where=str(directory),
        todo=f"fetch {archive.addresses[0]} elsewhere and put the archive, or {archive.top} out of it, "
        f"into {directory}; or name the folder that holds {archive.top} with --corpus-dir",
    )

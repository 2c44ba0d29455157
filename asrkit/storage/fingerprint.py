"""Fingerprints of files, cached by their stat so that an unchanged file is hashed once.

A group of files (a corpus, the shards of a split) has one fingerprint for all, so that 300,000 entries
needn't be compared one by one.
"""

import concurrent.futures
import contextlib
import functools
import hashlib
import os
import time
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, List, NamedTuple, Optional, Sequence, Tuple

import msgspec

from asrkit.errors import UserError
from asrkit.storage.checksum import check_checksum
from asrkit.storage.files import json_bytes, write_checked_json

# A file changed twice within a tick of the file system's clock may keep its stat
SETTLING_NANOSECONDS = 20_000_000
# Hashing less takes a second or two and needs no progress bar
SHOWN_BYTES, SHOWN_FILES = 500_000_000, 20_000


class FileStamp(NamedTuple):
    """A file of a group: its name in the group, path and stat."""

    name: str
    path: str
    size: int
    modified: int  # nanoseconds
    changed: int  # nanoseconds
    inode: int


def stamp_file(name: str, path: str, status: Optional[os.stat_result] = None) -> FileStamp:
    """The stamp of a file; raises OSError if it is missing."""
    found = status or os.stat(path)
    if not name.isascii() or "\\" in name:  # JSON can't hold names that aren't UTF-8
        encoded = name.replace("\\", "\\\\").encode("utf-8", "surrogateescape")
        name = encoded.decode("utf-8", "backslashreplace")
    return FileStamp(name, path, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def hash_bytes(content: bytes) -> str:
    """128-bit BLAKE2b of `content`, in hexadecimal."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def hash_value(value: Any) -> str:
    """Fingerprint of a JSON-able value; the order of keys doesn't matter."""
    return hash_bytes(json_bytes(value, sort_keys=True))


def hash_file(file: Path) -> str:
    """Fingerprint of a file's content."""
    digest = hashlib.blake2b(digest_size=16)
    with open(file, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


Entry = Tuple[int, int, int, int, Any]  # size, times of content and of inode, inode; what was computed


class _Listing(msgspec.Struct):
    files: Dict[str, Entry]  # of a group, by name


class _Kept(msgspec.Struct):
    files: Dict[str, Entry]  # by kind and path
    fingerprints: Dict[str, str]  # of groups, by the stats of their files, and what follows from them


class FingerprintCache:
    """Values computed from files, by their stats; everything below `directory` may be deleted.

    `show(description, number of files)` gives a progress bar, used if there is much to hash.
    """

    def __init__(
        self, directory: Path, jobs: int = 1, show: Optional[Callable[[str, int], ContextManager[Any]]] = None
    ) -> None:
        self.directory = directory
        self._jobs = jobs
        self._show = show
        kept = _load(directory / "files.json", _Kept, _Kept({}, {}))
        self._known, self._fingerprints = kept.files, kept.fingerprints
        self._changed = False
        self._groups: Dict[str, Callable[[], Sequence[FileStamp]]] = {}  # by name, as of the last call
        self._digests: Dict[str, str] = {}  # of group_once
        self._listings: Dict[str, Dict[str, Entry]] = {}  # {group: {name: [stat..., hash]}}
        self._unsaved: List[str] = []  # groups whose listing has changed

    def fingerprint(self, file: Path) -> str:
        """Hash of `file`'s content, computed only if its stat has changed."""
        return str(self.remember(file, "content", str, hash_file))

    def remember(self, file: Path, kind: str, shape: Any, compute: Callable[[Path], Any]) -> Any:
        """`compute(file)`, JSON-able, of type `shape`, computed only if the file's stat has changed."""
        stamp = stamp_file(str(file), str(file))
        key = f"{kind}:{stamp.name}"
        known = self._known.get(key)
        if known is not None and known[:4] == stamp[2:]:
            with contextlib.suppress(msgspec.MsgspecError):
                return msgspec.convert(known[4], shape)
        value = compute(file)
        if _has_settled(stamp):
            self._known[key] = (*stamp[2:], value)
            self._changed = True
        return value

    def group(self, name: str, files: Sequence[FileStamp]) -> str:
        """One fingerprint of the names and contents of all files."""
        stats = [(file.name, *file[2:]) for file in files]
        key = hash_bytes(msgspec.msgpack.encode(stats))
        self._groups[name] = lambda: files
        if key not in self._fingerprints:
            digest = hash_bytes(msgspec.msgpack.encode(sorted(self.listing(name).items())))
            if files and not _has_settled(_newest(files)):
                return digest
            self.keep(key, digest)
        return self._fingerprints[key]

    def group_once(
        self, name: str, find: Callable[[], Sequence[FileStamp]], summarise: Callable[[], str]
    ) -> str:
        """As group, but the files are examined only once, until forget_groups is called.

        `summarise` gives a fingerprint of their stats and is faster than `find`, which is called only if that
        has changed, or for their listing.
        """
        if name not in self._digests:
            summary = summarise()
            known = self.recall(f"{name}: {summary}")
            if known is None:
                files = find()
                self._digests[name] = self.group(name, files)
                if (not files or _has_settled(_newest(files))) and summarise() == summary:
                    self.keep(f"{name}: {summary}", self._digests[name])
            else:
                self._groups[name], self._digests[name] = functools.lru_cache(maxsize=1)(find), known
        return self._digests[name]

    def forget_groups(self) -> None:
        """List the files of groups again: a stage may have changed them."""
        self._digests.clear()

    def recall(self, key: str) -> Optional[str]:
        """The fingerprint that was kept under `key`."""
        return self._fingerprints.get(key)

    def keep(self, key: str, fingerprint: str) -> None:
        """Keep a fingerprint that depends on nothing but `key`."""
        self._fingerprints[key] = fingerprint
        self._changed = True

    def listing(self, name: str) -> Dict[str, str]:
        """Fingerprint of each file of a group, after a call of group; else {}."""
        if name not in self._groups:
            return {}
        if name not in self._listings:
            self._listings[name] = _load(self._listing_file(name), _Listing, _Listing({})).files
        before, files = self._listings[name], self._groups[name]()
        new = [file for file in files if before.get(file.name, ())[:4] != file[2:]]
        hashes = self._hash_all(name, new)
        if new or len(before) != len(files):
            fresh = {file.name: (*file[2:], value) for file, value in zip(new, hashes)}
            # save leaves those out that haven't settled
            self._listings[name] = {file.name: fresh.get(file.name) or before[file.name] for file in files}
            self._unsaved.append(name)
        return {file: entry[4] for file, entry in self._listings[name].items()}

    def _hash_all(self, name: str, files: Sequence[FileStamp]) -> List[str]:
        paths = [Path(file.path) for file in files]
        few = len(files) < SHOWN_FILES and sum(file.size for file in files) < SHOWN_BYTES
        if self._show is None or few:
            return list(map(hash_file, paths))
        hashes: List[str] = []
        pool = concurrent.futures.ThreadPoolExecutor(self._jobs)  # hashing releases the GIL
        with pool, self._show(f"fingerprint {name}", len(files)) as bar:
            for value in pool.map(hash_file, paths):
                hashes.append(value)
                bar.advance()
        return hashes

    def save(self) -> None:
        """Write the cache if anything was added."""
        for name in self._unsaved:
            listing = {
                file.name: self._listings[name][file.name]
                for file in self._groups[name]()
                if _has_settled(file) and file.name in self._listings[name]
            }
            write_checked_json(self._listing_file(name), {"files": listing})
        if self._changed:
            kept = _Kept(self._known, self._fingerprints)
            write_checked_json(self.directory / "files.json", msgspec.to_builtins(kept))
        self._unsaved, self._changed = [], False

    def _listing_file(self, name: str) -> Path:
        return self.directory / f"group-{hash_value(name)[:12]}.json"


def _newest(files: Sequence[FileStamp]) -> FileStamp:
    return max(files, key=lambda file: file.changed)


def _has_settled(stamp: FileStamp) -> bool:
    return time.time_ns() - stamp.changed > SETTLING_NANOSECONDS


def _load(file: Path, kind: Any, otherwise: Any) -> Any:
    with contextlib.suppress(OSError, ValueError, RecursionError, msgspec.MsgspecError, UserError):
        check_checksum(file)
        return msgspec.json.decode(file.read_bytes(), type=kind)
    return otherwise  # a cache: absent or damaged means empty

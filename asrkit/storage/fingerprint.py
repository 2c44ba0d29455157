"""Fingerprints of content, remembered by a file's stat so that an unchanged file is hashed once."""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

from asrkit.errors import UserError
from asrkit.storage.files import read_json, write_checked_json

# A file changed again within a tick of the file system's clock may keep its stat.
SETTLING_NANOSECONDS = 20_000_000


def hash_bytes(content: bytes) -> str:
    """128-bit BLAKE2b of `content`, in hexadecimal."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def hash_value(value: Any) -> str:
    """Fingerprint of a JSON-able value, independent of the order of keys."""
    return hash_bytes(json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8"))


def hash_file(file: Path) -> str:
    """Fingerprint of a file's content."""
    digest = hashlib.blake2b(digest_size=16)
    with open(file, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


class FingerprintCache:
    """What was computed from files, by (path, size, times, inode); the cache itself may be deleted."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._changed = False
        self._known: Dict[str, List[Any]] = {}
        with contextlib.suppress(UserError):  # a cache: absent or damaged means empty
            self._known = read_json(file, Dict[str, List[Any]], checked=True)

    def fingerprint(self, file: Path) -> str:
        """Hash of `file`'s content, computed only when its stat differs from the remembered one."""
        return str(self.remember(file, "content", hash_file))

    def remember(self, file: Path, kind: str, compute: Callable[[Path], Any]) -> Any:
        """`compute(file)`, a JSON-able value, computed only when the file's stat isn't the remembered one."""
        stat = os.stat(file)
        key = f"{kind}:{file}"
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        known = self._known.get(key)
        if known is not None and known[:4] == stamp:
            return known[4]
        value = compute(file)
        if time.time_ns() - stat.st_ctime_ns > SETTLING_NANOSECONDS:
            self._known[key] = [*stamp, value]
            self._changed = True
        return value

    def save(self) -> None:
        """Write the cache if anything was added."""
        if self._changed:
            write_checked_json(self.file, self._known)
            self._changed = False

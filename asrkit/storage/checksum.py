"""Checksums inside files: the hash of the whole file, with the checksum's own digits as zeros."""

import hashlib
import re
from pathlib import Path

from asrkit.errors import UserError

BLANK = "0" * 32  # placeholder after the word checksum, which write_checksum replaces
HEAD = 512  # bytes, which contain it
FIELD = re.compile(rb"checksum\W{1,12}([0-9a-f]{32})\b")


def write_checksum(file: Path) -> None:
    """Replace BLANK, after the word checksum in the file's first bytes, by the file's checksum."""
    with open(file, "r+b") as stream:
        found = FIELD.search(stream.read(HEAD))
        assert found is not None, "the file has no place for a checksum"
        digits = _compute(file)
        stream.seek(found.start(1))
        stream.write(digits)


def check_checksum(file: Path, needed: bool = True) -> None:
    """Raise UserError if a byte of the file has changed since write_checksum; reads 1 GB per second.

    `needed`: also if it has no checksum.
    """
    with open(file, "rb") as stream:
        found = FIELD.search(stream.read(HEAD))
    if needed if found is None else found.group(1) != _compute(file):
        fault = "it has no checksum" if found is None else "its checksum does not match"
        message = f"can't read {file}: it is damaged, {fault}"
        todo = "run.sh, without --stage, regenerates it"
        raise UserError(message, "the bytes that asrkit wrote", str(file), todo)


def _compute(file: Path) -> bytes:
    digest = hashlib.blake2b(digest_size=len(BLANK) // 2)
    with open(file, "rb") as stream:
        head = stream.read(HEAD)
        found = FIELD.search(head)
        begin, end = found.span(1) if found else (0, 0)
        digest.update(head[:begin] + BLANK.encode()[: end - begin] + head[end:])
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest().encode()

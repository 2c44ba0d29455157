"""Download one file over HTTP; an interrupted transfer resumes if the server's file is unchanged."""

import errno
import json
import os
import queue
import re
import shutil
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Optional, Tuple

from asrkit.pipeline.progress import Progress
from asrkit.storage.files import json_bytes, sync_directory
from asrkit.storage.fingerprint import hash_value

BLOCK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30.0  # for a response, and for each block
MIN_RATE = 1000  # bytes per second over TIMEOUT_SECONDS; a slower transfer is given up


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to HTTP(S) addresses only."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not newurl.startswith(("http://", "https://")):
            raise OSError(f"redirected to {newurl}, which isn't an HTTP address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def transfer(address: str, file: Path, summed: bool) -> None:
    """Download `address` to `file` through a .part file, which a later call resumes.

    `summed`: a checksum, perhaps inside a compressed file, will be checked; otherwise the server must give
    the length. Raises OSError, ValueError or HTTPException if it fails.
    """
    part = file.with_name(f"{file.name}.{hash_value(address)[:8]}.part")
    note = part.with_name(part.name + ".validator")
    validator = _read_validator(note) if part.exists() else None
    held = part.stat().st_size if validator else 0
    headers = {"Accept-Encoding": "identity"}
    if validator and held:
        headers.update({"Range": f"bytes={held}-", "If-Range": validator})
    try:
        response = _open(urllib.request.Request(address, headers=headers))
        begin, length = _expected(response, held, validator)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not held:  # 416: the file ends before this offset
            raise
        response = None
    if response is None or begin is None:
        note.unlink()
        transfer(address, file, summed)  # from the beginning
        return
    with response:
        if not summed:
            _refuse_page(response, file)
            if length is None and not response.chunked:
                raise OSError("the server doesn't give the file's length, so it may be incomplete")
        if length is not None and length - begin > shutil.disk_usage(file.parent).free:
            raise OSError(errno.ENOSPC, f"{length - begin:,} bytes don't fit on the disk")
        if not begin:
            part.unlink(missing_ok=True)
            note.write_bytes(json_bytes(_validator(response)))
        _receive(response, part, begin, length, file.name)
    if length is not None and part.stat().st_size != length:
        raise OSError(f"broke off at {part.stat().st_size} of {length} bytes; the next run resumes it")
    os.replace(part, file)
    note.unlink()
    sync_directory(file.parent)


def _open(request: urllib.request.Request) -> Any:
    """The server's response; raises OSError if it takes too long, even byte by byte."""
    if request.type not in ("http", "https"):  # no files, no FTP
        raise OSError("not an HTTP address")
    responses: queue.Queue[Any] = queue.Queue()

    def ask() -> None:
        try:
            responses.put(urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT_SECONDS))
        except Exception as error:  # raised below
            responses.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        outcome = responses.get(timeout=2 * TIMEOUT_SECONDS)
    except queue.Empty:
        raise OSError(f"no response in {2 * TIMEOUT_SECONDS:g} s") from None
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _expected(response: Any, held: int, validator: Optional[str]) -> Tuple[Optional[int], Optional[int]]:
    """Offset of the response (None if it doesn't continue the .part file), and the file's length if known."""
    lengths = response.headers.get_all("Content-Length") or []
    if len(lengths) > 1 or any(not re.fullmatch(r"[0-9]{1,15}", length.strip()) for length in lengths):
        raise OSError(f"the server sent Content-Length: {', '.join(lengths)}")
    if response.status == 206 and held:
        range_ = response.headers["Content-Range"] or ""
        place = re.fullmatch(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})", range_.strip())
        same = _validator(response) in (None, validator)
        if not same or place is None or int(place[1]) != held or int(place[2]) + 1 != int(place[3]):
            return None, None
        return held, int(place[3])
    if response.status != 200:
        raise OSError(f"the server responds with status {response.status}")
    return 0, int(lengths[0]) if lengths and not response.chunked else None


def _refuse_page(response: Any, file: Path) -> None:
    """Raise OSError for a web page instead of the file, such as a login page."""
    kind = response.headers.get_content_type()
    if kind in ("text/html", "application/xhtml+xml") and file.suffix not in (".html", ".htm"):
        raise OSError(f"the server sends a page ({kind}) instead of the file")


def _receive(response: Any, part: Path, begin: int, length: Optional[int], name: str) -> None:
    total = length and length // BLOCK_BYTES
    with open(part, "ab") as output, Progress(name, total, "MiB") as bar:
        bar.advance(count=begin // BLOCK_BYTES)
        done, before, since = begin, begin, time.monotonic()
        while done != length:
            block = response.read1(BLOCK_BYTES if length is None else min(BLOCK_BYTES, length - done))
            if not block:
                break
            output.write(block)
            bar.advance(count=(done + len(block)) // BLOCK_BYTES - done // BLOCK_BYTES)
            done += len(block)
            seconds = time.monotonic() - since
            if seconds > TIMEOUT_SECONDS:
                if done - before < MIN_RATE * seconds:
                    raise OSError(f"only {done - before} bytes in {seconds:.0f} s; the next run resumes it")
                before, since = done, time.monotonic()
        output.flush()
        os.fsync(output.fileno())


def _validator(response: Any) -> Optional[str]:
    """The version of the server's file: its strong ETag, else its date."""
    tag: Optional[str] = response.headers["ETag"]
    if tag and not tag.startswith("W/"):
        return tag
    date: Optional[str] = response.headers["Last-Modified"]
    return date


def _read_validator(note: Path) -> Optional[str]:
    try:
        validator = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None
    return validator if isinstance(validator, str) and validator.isprintable() else None

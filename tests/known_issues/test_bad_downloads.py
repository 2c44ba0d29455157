"""Pages, empty and broken replies were taken as the corpus; a mirror's bad file ended the download."""

import gzip
import hashlib
import io
import socket
import tarfile
import threading
import time
import zipfile
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Tuple

import pytest

import asrkit.corpus.download
import asrkit.corpus.transfer
from asrkit.corpus.download import Archive, fetch_corpus, unpack
from asrkit.errors import UserError

Serve = Callable[..., str]
TEXT = b"a text without a sum\n" * 500


def tar_gz(members: Dict[str, bytes]) -> bytes:
    """A tar.gz of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


GOOD = tar_gz({"toy/a.txt": b"first" * 3000})


def reply(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An answer of a server, as bytes."""
    lines = [f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


def whole(body: bytes, *headers: str) -> bytes:
    """An answer with all that there is."""
    return reply(body, f"Content-Length: {len(body)}", *headers)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server of answers, one per request, the last one for all that follow; gives its address.

    Requests are kept in `serve.requests`; `drip` is the time after each byte of the answer.
    """
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    listeners: List[socket.socket] = []

    def start(*answers: bytes, name: str = "toy.tar.gz", drip: float = 0, hold: float = 0) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        pending = list(answers)

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    requests.append(connection.recv(1 << 16).decode())
                    answer = pending.pop(0) if len(pending) > 1 else pending[0]
                    try:
                        for byte in answer if drip else [answer]:
                            connection.sendall(bytes([byte]) if isinstance(byte, int) else byte)
                            time.sleep(drip)
                        time.sleep(hold)
                    except OSError:
                        pass

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/{name}"

    requests: List[str] = []
    start.requests = requests  # type: ignore[attr-defined]
    yield start
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (whole(b"<p>Please log in</p>", "Content-Type: text/html; charset=utf-8"), "sends a page"),
        (whole(b"\n<!DOCTYPE html>\n<p>Please log in</p>", "Content-Type: text/plain"), "is a web page"),
        (whole(b"", "Content-Type: text/plain"), "is empty"),
        (reply(b"", status="204 No Content"), "status 204"),
        (reply(TEXT[:1000]), "doesn't give the file's length"),
        (reply(TEXT, "Content-Length: many"), "Content-Length: many"),
        (reply(TEXT, "Content-Length: -5"), "Content-Length: -5"),
        (reply(TEXT, "Content-Length: 10", "Content-Length: 20"), "Content-Length: 10, 20"),
        (
            reply(TEXT, f"Content-Length: {len(TEXT) + 1}"),
            f"broke off at {len(TEXT)} of {len(TEXT) + 1} bytes",
        ),
        (reply(b"20\r\nhalf a chunk", "Transfer-Encoding: chunked"), "IncompleteRead"),
        (reply(TEXT, "Content-Range: bytes 5-9/10", status="206 Partial Content"), "status 206"),
        (reply(b"", "Location: file:///etc/passwd", status="302 Found"), "file:///etc/passwd"),
        (reply(b"", "Location: ftp://127.0.0.1/a", status="302 Found"), "redirected to ftp://127.0.0.1/a"),
        (b"what is this\r\n\r\n", "what is this"),
        (b"", "closed connection"),
    ],
)
def test_a_reply_that_is_not_the_file_is_refused(
    serve: Serve, tmp_path: Path, answer: bytes, said: str
) -> None:
    with pytest.raises(UserError, match="can't fetch the corpus") as caught:
        fetch_corpus(Archive((serve(answer, name="lm.txt"),)), tmp_path)
    assert said in caught.value.found
    assert not (tmp_path / "lm.txt").exists()


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://127.0.0.1/a.txt", "data:/text", "etc/passwd"]
)
def test_only_web_addresses_are_asked(tmp_path: Path, address: str) -> None:
    with pytest.raises(UserError, match="can't fetch the corpus"):
        fetch_corpus(Archive((address,)), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(whole(b"<html>captive portal</html>"), id="page"),
        pytest.param(whole(b""), id="empty"),
        pytest.param(reply(GOOD[:200]), id="broken off"),
        pytest.param(whole(GOOD[:-4]), id="without its end"),
        pytest.param(whole(GOOD[:100] + bytes([GOOD[100] ^ 1]) + GOOD[101:]), id="flipped bit"),
        pytest.param(whole(tar_gz({"../out": b"x"})), id="hostile"),
        pytest.param(reply(b"", status="404 Not Found"), id="absent"),
    ],
)
@pytest.mark.parametrize("summed", [False, True])
def test_a_bad_file_of_one_address_is_followed_by_the_next(
    serve: Serve, tmp_path: Path, bad: bytes, summed: bool
) -> None:
    sum = hashlib.md5(GOOD).hexdigest() if summed else None
    fetch_corpus(Archive((serve(bad), serve(whole(GOOD))), "toy", md5=sum), tmp_path)
    assert (tmp_path / "toy/a.txt").read_bytes() == b"first" * 3000
    assert {path.name for path in tmp_path.iterdir()} <= {"toy", "toy.tar.gz.wrong"}


CHUNKED = reply(b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD), "Transfer-Encoding: chunked")


@pytest.mark.parametrize("answer", [reply(GOOD), CHUNKED])
def test_a_body_with_its_own_end_marker_needs_no_length(serve: Serve, tmp_path: Path, answer: bytes) -> None:
    fetch_corpus(Archive((serve(answer),), "toy"), tmp_path)
    assert (tmp_path / "toy/a.txt").read_bytes() == b"first" * 3000


def test_a_compressed_file_is_read_to_its_end(serve: Serve, tmp_path: Path) -> None:
    packed = gzip.compress(TEXT)
    for bad in (TEXT, packed[:-4], packed[:-8] + b"\0" * 8):
        with pytest.raises(UserError, match="is damaged"):
            fetch_corpus(Archive((serve(whole(bad), name="lm.txt.gz"),)), tmp_path)
    fetch_corpus(Archive((serve(whole(packed), name="lm.txt.gz"),)), tmp_path)
    assert gzip.decompress((tmp_path / "lm.txt.gz").read_bytes()) == TEXT


@pytest.mark.parametrize(
    ("answer", "timing"),
    [
        (b"", {"hold": 30}),
        (reply(b"", "X: " + "y" * 10_000), {"drip": 0.01}),
        (reply(TEXT[:10], "Content-Length: 10000"), {"hold": 30}),
        (reply(TEXT, f"Content-Length: {len(TEXT)}"), {"drip": 0.01}),
    ],
)
def test_a_stalled_server_is_left(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, timing: Dict[str, float]
) -> None:
    monkeypatch.setattr(asrkit.corpus.transfer, "TIMEOUT_SECONDS", 0.5)
    addresses = (serve(answer, name="lm.txt", **timing), serve(whole(TEXT), name="lm.txt"))
    fetch_corpus(Archive(addresses), tmp_path)
    assert (tmp_path / "lm.txt").read_bytes() == TEXT


def resumed(first: int, of: int = len(TEXT), content: bytes = TEXT, tag: str = '"a"') -> bytes:
    """The rest of a file from some byte on."""
    headers = (f"Content-Length: {of - first}", f"Content-Range: bytes {first}-{of - 1}/{of}", f"ETag: {tag}")
    return reply(content[first:], *headers, status="206 Partial Content")


BROKEN = reply(TEXT[:100], f"Content-Length: {len(TEXT)}", 'ETag: "a"')
OTHER = b"another text, as long" * 500


@pytest.mark.parametrize(
    ("answers", "expected", "asked"),
    [
        ((BROKEN, resumed(100)), TEXT, 1),
        ((BROKEN, whole(OTHER, 'ETag: "b"')), OTHER, 1),  # 200: another file by now
        ((BROKEN, resumed(100, content=OTHER, tag='"b"'), whole(OTHER)), OTHER, 1),
        ((BROKEN, resumed(200), whole(TEXT)), TEXT, 1),
        ((BROKEN, resumed(50), whole(TEXT)), TEXT, 1),
        ((BROKEN, reply(TEXT[100:], status="206 Partial Content"), whole(TEXT)), TEXT, 1),
        ((BROKEN, reply(b"", status="416 Range Not Satisfiable"), whole(OTHER)), OTHER, 1),
        ((reply(TEXT[:100], f"Content-Length: {len(TEXT)}"), whole(OTHER)), OTHER, 0),  # nothing to tell by
        ((reply(TEXT[:100], f"Content-Length: {len(TEXT)}", 'ETag: W/"a"'), whole(OTHER)), OTHER, 0),
    ],
)
def test_a_transfer_goes_on_only_with_the_same_file(
    serve: Serve, tmp_path: Path, answers: Tuple[bytes, ...], expected: bytes, asked: int
) -> None:
    archive = Archive((serve(*answers, name="lm.txt"),))
    with pytest.raises(UserError, match="broke off at 100 of"):
        fetch_corpus(archive, tmp_path)
    fetch_corpus(archive, tmp_path)
    assert (tmp_path / "lm.txt").read_bytes() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["lm.txt"]
    requests: List[str] = serve.requests  # type: ignore[attr-defined]
    assert sum('If-Range: "a"' in request and "Range: bytes=100-" in request for request in requests) == asked


def zipped(members: Dict[str, bytes]) -> bytes:
    """A zip file of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def pax_header(size: int) -> bytes:
    """A tar file whose header of a member claims some size."""
    header = tarfile.TarInfo("toy/a")
    header.type, header.size = tarfile.XHDTYPE, size
    return gzip.compress(header.tobuf() + b"0" * 2000)


def pax_path(name: str) -> bytes:
    """A tar file with a name that only the newer form of tar can hold."""
    member = tarfile.TarInfo("toy/a")
    record = b" path=" + name.encode("utf-8", "surrogatepass") + b"\n"
    extra = b"%d%s" % (len(record) + 2, record)
    header = tarfile.TarInfo("toy/a")
    header.type, header.size = tarfile.XHDTYPE, len(extra)
    return gzip.compress(header.tobuf() + extra.ljust(512, b"\0") + member.tobuf() + b"\0" * 1024)


def encrypted(content: bytes) -> bytes:
    """A zip file with the flag of encryption set."""
    place = content.index(b"PK\x01\x02") + 8
    return content[:6] + b"\x01" + content[7:place] + b"\x01" + content[place + 1 :]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tar.gz", tar_gz({"toy/zeros": b"\0" * 1_300_000})),
        ("a.tar.gz", tar_gz({"toy/a": b"x"}) + gzip.compress(b"\0" * 1_300_000)),
        ("a.tar.gz", gzip.compress(tarfile.TarInfo("toy/empty").tobuf() * 5000)),
        ("a.zip", zipped({"toy/zeros": b"\0" * 1_300_000})),
        ("a.tar.gz", pax_header(3_000_000_000)),
        ("a.tar.gz", pax_path("toy/a\0b")),
        ("a.tar.gz", tar_gz({"toy/" + "a" * 300: b"x"})),
        ("a.tar.gz", tar_gz({"toy": b"x", "toy/a": b"x"})),
        ("a.zip", zipped({"toy/a": TEXT}).replace(b"toy/a", b"t\0y/a")),
        ("a.zip", encrypted(zipped({"toy/a": TEXT}))),
        ("a.zip", zipped({"toy/a": TEXT}).replace(b"\x08\x00", b"\x63\x00")),
        ("a.zip", b"PK"),
        ("a.tar.gz", b"\x1f\x8b"),
        ("a.tar.gz", b""),
    ],
    ids=map(str, range(15)),
)
def test_a_hostile_archive_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes
) -> None:
    monkeypatch.setattr(asrkit.corpus.download, "UNPACKED_BYTES", 1_000_000)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError):
        unpack(tmp_path / name, "toy", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]

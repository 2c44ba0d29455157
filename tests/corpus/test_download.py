"""Downloads: resumed transfers, checksums, hostile archives, no network."""

import dataclasses
import hashlib
import http.server
import io
import stat
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import pytest

from asrkit.corpus.download import Archive, fetch_corpus, openslr_addresses, unpack
from asrkit.errors import UserError


def make_archive(members: Dict[str, bytes], links: Tuple[Tuple[str, str, bytes], ...] = ()) -> bytes:
    """A tar.gz of files, and of links given as (name, target, type)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target, kind in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return buffer.getvalue()


class Server:
    """Serve one archive; can break off after some bytes; records the requested ranges."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.break_after: Optional[int] = None
        self.ranges: List[Optional[str]] = []
        self.paths: List[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                outer.ranges.append(asked)
                outer.paths.append(self.path)
                first = int(asked[len("bytes=") : -1]) if asked else 0
                if first >= len(outer.content):
                    self.send_error(416)
                    return
                body = outer.content[first:]
                self.send_response(206 if asked else 200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("ETag", '"one"')
                if asked:
                    last = len(outer.content) - 1
                    self.send_header("Content-Range", f"bytes {first}-{last}/{last + 1}")
                self.end_headers()
                self.wfile.write(body[: outer.break_after])

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def archive(self, sha256: Optional[str] = None) -> Archive:
        """The archive on this server."""
        address = f"http://127.0.0.1:{self.server.server_address[1]}/toy.tar.gz"
        return Archive((address,), "toy", sha256)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], Server]]:
    """Start a local server."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers: List[Server] = []

    def start(content: bytes) -> Server:
        servers.append(Server(content))
        return servers[-1]

    yield start
    for server in servers:
        server.server.shutdown()
        server.server.server_close()


TOY = {"toy/a.txt": b"first" * 3000, "toy/sub/b.txt": b"second"}


def test_fetch_unpacks_and_leaves_no_other_files(serve: Callable[[bytes], Server], tmp_path: Path) -> None:
    content = make_archive(TOY)
    fetch_corpus(serve(content).archive(hashlib.sha256(content).hexdigest()), tmp_path / "corpus")
    assert (tmp_path / "corpus/toy/a.txt").read_bytes() == TOY["toy/a.txt"]
    assert (tmp_path / "corpus/toy/sub/b.txt").read_bytes() == b"second"
    assert [path.name for path in (tmp_path / "corpus").iterdir()] == ["toy"]


def test_an_interrupted_transfer_resumes(serve: Callable[[bytes], Server], tmp_path: Path) -> None:
    server = serve(make_archive(TOY))
    server.break_after = 50
    with pytest.raises(UserError, match=f"broke off at 50 of {len(server.content)} bytes"):
        fetch_corpus(server.archive(), tmp_path)
    server.break_after = None
    fetch_corpus(server.archive(), tmp_path)
    assert server.ranges == [None, "bytes=50-"]
    assert (tmp_path / "toy/a.txt").read_bytes() == TOY["toy/a.txt"]


def test_a_part_longer_than_the_archive_is_fetched_again(
    serve: Callable[[bytes], Server], tmp_path: Path
) -> None:
    server = serve(make_archive(TOY))
    server.break_after = 50
    with pytest.raises(UserError):
        fetch_corpus(server.archive(), tmp_path)
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(b"x" * 99999)
    server.break_after = None
    fetch_corpus(server.archive(), tmp_path)
    assert (tmp_path / "toy/a.txt").read_bytes() == TOY["toy/a.txt"]


def test_second_address_is_tried_when_the_first_fails(
    serve: Callable[[bytes], Server], tmp_path: Path
) -> None:
    good = serve(make_archive(TOY)).archive().addresses[0]
    fetch_corpus(Archive(("http://127.0.0.1:9/toy.tar.gz", good), "toy"), tmp_path)
    assert (tmp_path / "toy/a.txt").exists()


def test_a_wrong_checksum_is_an_error_and_the_file_is_renamed(
    serve: Callable[[bytes], Server], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="SHA-256"):
        fetch_corpus(serve(make_archive(TOY)).archive("0" * 64), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["toy.tar.gz.wrong"]


def test_either_checksum_is_checked(serve: Callable[[bytes], Server], tmp_path: Path) -> None:
    content = make_archive(TOY)
    archive = serve(content).archive()
    good = dataclasses.replace(archive, md5=hashlib.md5(content).hexdigest())
    fetch_corpus(good, tmp_path / "good")
    with pytest.raises(UserError, match=f"MD5 {good.md5}"):
        fetch_corpus(dataclasses.replace(archive, md5="0" * 32), tmp_path / "bad")


def test_a_mirror_is_asked_first(serve: Callable[[bytes], Server], tmp_path: Path) -> None:
    server = serve(make_archive(TOY))
    mirror = server.archive().addresses[0].rsplit("/", 1)[0] + "/mirror/"
    fetch_corpus(Archive(openslr_addresses(31, "toy.tar.gz"), "toy"), tmp_path, mirror)
    assert server.paths == ["/mirror/31/toy.tar.gz"]
    assert (tmp_path / "toy/a.txt").exists()


def test_a_single_file_is_not_unpacked(serve: Callable[[bytes], Server], tmp_path: Path) -> None:
    address = serve(b"text").archive().addresses[0].replace("toy.tar.gz", "toy.txt")
    fetch_corpus(Archive((address,)), tmp_path)
    assert (tmp_path / "toy.txt").read_bytes() == b"text"


def make_zip(file: Path, members: Dict[str, bytes], mode: int = stat.S_IFREG) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (mode | 0o644) << 16
            archive.writestr(entry, content)
    return file


def test_a_zip_file_has_the_same_checks(tmp_path: Path) -> None:
    unpack(make_zip(tmp_path / "toy.zip", {"toy/sub/": b"", **TOY}), "toy", tmp_path)
    assert (tmp_path / "toy/a.txt").read_bytes() == TOY["toy/a.txt"]
    for number, (name, mode) in enumerate(
        [("../a", stat.S_IFREG), ("other/a", stat.S_IFREG), ("toy/link", stat.S_IFLNK)]
    ):
        bad = make_zip(tmp_path / f"{number}.zip", {name: b"x"}, mode)
        with pytest.raises(UserError, match="which isn't a file or folder inside toy"):
            unpack(bad, "toy", tmp_path)
    (tmp_path / "bad.zip").write_bytes((tmp_path / "toy.zip").read_bytes()[:-30])
    with pytest.raises(UserError, match="can't unpack"):
        unpack(tmp_path / "bad.zip", "toy", tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"toy", "toy.zip", "bad.zip", "0.zip", "1.zip", "2.zip"}


def test_archives_with_the_same_folder_are_merged(tmp_path: Path) -> None:
    for name, members in (
        ("one", {"toy/about": b"1", "toy/a/1": b"1"}),
        ("two", {"toy/about": b"2", "toy/b/2": b"2", "toy/a/3": b"3"}),
    ):
        (tmp_path / name).write_bytes(make_archive(members))
        unpack(tmp_path / name, "toy", tmp_path)
    found = {str(f.relative_to(tmp_path / "toy")): f.read_bytes() for f in (tmp_path / "toy").rglob("*/*")}
    assert found == {"a/1": b"1", "a/3": b"3", "b/2": b"2"}
    assert (tmp_path / "toy/about").read_bytes() == b"1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "toy", "two"]


@pytest.mark.parametrize(("member", "sound"), [("train/s1/a", True), ("../a", False), ("/tmp/a", False)])
def test_archives_inside_an_archive(tmp_path: Path, member: str, sound: bool) -> None:
    file = tmp_path / "toy.tgz"
    file.write_bytes(make_archive({"toy/wav/s1.tar.gz": make_archive({member: b"1"}), "toy/wav/text": b"t"}))
    if not sound:
        with pytest.raises(UserError, match="which isn't a file or folder inside"):
            unpack(file, "toy", tmp_path, "toy/wav/*.tar.gz")
        assert [path.name for path in tmp_path.iterdir()] == ["toy.tgz"]
        return
    unpack(file, "toy", tmp_path, "toy/wav/*.tar.gz")
    assert sorted(path.name for path in (tmp_path / "toy/wav").iterdir()) == ["text", "train"]
    assert (tmp_path / "toy/wav/train/s1/a").read_bytes() == b"1"


def test_without_network_the_error_names_the_folder_for_the_corpus(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        fetch_corpus(Archive(("http://127.0.0.1:9/toy.tar.gz",), "toy"), tmp_path)
    message = str(caught.value)
    assert "Connection refused" in message
    assert f"into {tmp_path}" in message
    assert "--corpus-dir" in message


def test_an_existing_archive_is_used_and_kept(tmp_path: Path) -> None:
    (tmp_path / "toy.tar.gz").write_bytes(make_archive(TOY))
    fetch_corpus(Archive(("http://127.0.0.1:9/toy.tar.gz",), "toy"), tmp_path)
    assert (tmp_path / "toy/a.txt").exists()
    assert (tmp_path / "toy.tar.gz").exists()


@pytest.mark.parametrize(
    ("members", "links"),
    [
        ({"toy/../../escaped": b"x"}, ()),
        ({"/tmp/escaped": b"x"}, ()),
        ({"other/a": b"x"}, ()),
        ({}, (("toy/link", "/etc/passwd", tarfile.SYMTYPE),)),
        ({}, (("toy/link", "../../secret", tarfile.LNKTYPE),)),
        ({}, (("toy/pipe", "", tarfile.FIFOTYPE),)),
    ],
)
def test_an_archive_with_a_member_outside_is_refused(
    tmp_path: Path, members: Dict[str, bytes], links: Tuple[Tuple[str, str, bytes], ...]
) -> None:
    file = tmp_path / "toy.tar.gz"
    file.write_bytes(make_archive({"toy/good": b"good", **members}, links))
    (tmp_path / "corpus").mkdir()
    with pytest.raises(UserError, match="which isn't a file or folder inside toy"):
        unpack(file, "toy", tmp_path / "corpus")
    assert list((tmp_path / "corpus").iterdir()) == []
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("damage", [lambda content: content[:-200], lambda content: b"no archive" + content])
def test_a_damaged_archive_leaves_no_files(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "toy.tar.gz"
    file.write_bytes(damage(make_archive({f"toy/{name}": bytes([name]) * 999 for name in range(99)})))
    (tmp_path / "corpus").mkdir()
    with pytest.raises(UserError, match="can't unpack"):
        unpack(file, "toy", tmp_path / "corpus")
    assert list((tmp_path / "corpus").iterdir()) == []

"""Mutated requests and bundles: no crash, no hang, no traceback, and a bundle that's wrong gets words."""

import concurrent.futures
import contextlib
import io
import logging
import random
import shutil
import socket
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import msgspec
import numpy as np
import pytest
import soundfile

from asrkit.deploy.workers import Request
from asrkit.errors import UserError
from asrkit.recognise.bundle import DESCRIPTION, open_bundle, write_bundle
from asrkit.recognise.recognizer import Recognizer
from asrkit.recognise.recording import read_recording
from asrkit.recognise.segmentation import SegmentOptions
from asrkit.recognise.transcript import Segment
from asrkit.storage.files import write_checked_json

MUTATIONS = 1000
NUMBERS = (b"0", b"-1", b"99999999999999999999", b"4294967295", b"1e999", b"NaN", b"true", b"null", b"[]")
KINDS = ("flip", "cut", "repeat", "insert", "end", "number", "swap")


def mutate(content: bytes, choose: random.Random) -> bytes:
    """A change or some of any place: bits, lengths, order, numbers."""
    for _ in range(choose.choice((1, 1, 2, 5))):
        first, last = sorted(choose.randrange(len(content) + 1) for _ in range(2))
        last = choose.choice((last, min(last, first + 8)))
        before, part, after = content[:first], content[first:last], content[last:]
        kind = choose.choice(KINDS)
        if kind == "flip":
            part = bytes(byte ^ (1 << choose.randrange(8)) for byte in part[:16]) + part[16:]
        elif kind == "cut":
            part = b""
        elif kind == "repeat":
            part *= 2
        elif kind == "insert":
            part = bytes(choose.randrange(256) for _ in range(choose.randrange(1, 40)))
        elif kind == "end":
            part = after = b""
        elif kind == "number":
            part = choose.choice(NUMBERS)
        else:
            part, after = after, part
        content = before + part + after
    return content


# ---- requests ----


def measure(request: Request) -> Iterator[Tuple[str, Any]]:
    """A recogniser that reads the audio and finds nothing."""
    samples, rate = read_recording(request.audio)
    yield "duration", len(samples) / rate
    yield "segment", Segment(0, len(samples) / rate, ())


def open_measuring() -> Any:
    return measure


def tone() -> bytes:
    content = io.BytesIO()
    soundfile.write(content, np.sin(np.arange(800) / 5).astype(np.float32), 8000, format="WAV")
    return content.getvalue()


def written(audio: bytes, choose: random.Random) -> bytes:
    """A request in HTTP, some part of which is mutated: its head, a part of the body, audio, or a value."""
    place = choose.choice(("head", "body", "audio", "value", "path"))
    values = {"model": b"x", "response_format": choose.choice((b"json", b"srt", b"verbose_json", b"vtt"))}
    values.update({"stream": choose.choice((b"true", b"false")), "keywords[]": b"ZEBRA", "language": b"en"})
    if place == "value":
        name = choose.choice(list(values))
        values[name] = mutate(values[name] * 5, choose)
    if place == "audio":
        audio = mutate(audio, choose)
    parts = [b'Content-Disposition: form-data; name="%s"\r\n\r\n%s' % item for item in _encoded(values)]
    parts.append(b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + audio)
    body = b"".join(b"--bb\r\n" + part + b"\r\n" for part in parts) + b"--bb--\r\n"
    if place == "body":
        body = mutate(body, choose)
    path = b"/v1/audio/transcriptions"
    head = (
        b"POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n"
        b"Content-Type: multipart/form-data; boundary=bb\r\n\r\n"
    ) % (mutate(path, choose) if place == "path" else path, len(body))
    return (mutate(head, choose) if place == "head" else head) + body


def _encoded(values: Dict[str, bytes]) -> List[Tuple[bytes, bytes]]:
    return [(name.encode(), value) for name, value in values.items()]


def ask(port: int, request: bytes) -> bytes:
    """What the server answers until it closes the connection, or is silent for five seconds."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), 20) as connection, contextlib.suppress(OSError):
        connection.settimeout(5)
        connection.sendall(request)
        while block := connection.recv(1 << 16):
            answer += block
    return answer


def test_mutated_requests_harm_nobody(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("starlette", reason="needs the extra [serve]")
    httpx = pytest.importorskip("httpx", reason="needs the package httpx")
    from asrkit.deploy.server import ServerOptions
    from tests.deploy.test_server import serving

    choose, audio = random.Random(1), tone()
    requests = [written(audio, choose) for _ in range(MUTATIONS)]
    options = ServerOptions(upload_bytes=1 << 20, upload_seconds=1.0)
    limits = {"waiting": 100, "time_limit": 60.0}
    with serving(options, open_measuring, **limits) as address, caplog.at_level(logging.ERROR):
        port = int(address.rpartition(":")[2])
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda request: ask(port, request), requests))
        statuses = [answer.split(b" ", 2)[1] for answer in answers if answer.startswith(b"HTTP/1.1 ")]
        assert not [answer for answer in answers if b"Traceback" in answer or b'File "' in answer]
        assert {status for status in statuses if status >= b"500"} == set()
        assert statuses.count(b"200") > MUTATIONS / 10  # so that the mutations reach the inside
        assert statuses.count(b"400") > MUTATIONS / 10
        url = f"{address}/v1/audio/transcriptions"
        assert httpx.post(url, files={"file": ("a.wav", audio)}, timeout=20).json() == {"text": ""}
        deadline = time.monotonic() + 60
        while httpx.get(f"{address}/health").json()["pending"]:  # every request has freed its place
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


# ---- bundles ----


@pytest.fixture(scope="module")
def bundle(finished_yesno: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime", reason="needs the extra [use]")
    from asrkit.deploy.export import export
    from asrkit.pipeline.experiment import open_experiment

    folder = tmp_path_factory.mktemp("fuzzed") / "bundle"
    export(open_experiment(finished_yesno), folder)
    return folder


def mutate_value(value: Any, choose: random.Random) -> Any:
    """JSON with one of its values of another size or type."""
    if isinstance(value, dict) and value and choose.random() < 0.9:
        key = choose.choice(list(value))
        if choose.random() < 0.1:
            return {name: each for name, each in value.items() if name != key}
        return {**value, key: mutate_value(value[key], choose)}
    others: List[Any] = [None, -1, 0, 1, 3, 1e300, 10**12, 0.5, True, "", "x", "../../etc/passwd", [], {}]
    return choose.choice(others)


def damage(folder: Path, choose: random.Random) -> None:
    """Mutate one file; mostly with checksums that fit, as a forger would."""
    described = open_bundle(folder)
    name = choose.choice(("tokens.txt", "words.txt", "lexicon.txt", "HLG.fst", "model.onnx", DESCRIPTION))
    file = folder / name
    if name == DESCRIPTION and choose.random() < 0.8:
        content = msgspec.to_builtins(described)
        key = choose.choice(list(content))
        write_checked_json(file, {**content, key: mutate_value(content[key], choose)})
        return
    other = choose.choice(sorted(described.files))
    is_swapped = choose.random() < 0.05
    content = (folder / other).read_bytes() if is_swapped else mutate(file.read_bytes(), choose)
    file.unlink()
    file.write_bytes(content)
    if name != DESCRIPTION and choose.random() < 0.9:
        write_bundle(folder, described)


@pytest.mark.k2
def test_mutated_bundles_get_words(bundle: Path, tmp_path: Path) -> None:
    choose, samples = random.Random(2), np.sin(np.arange(8000) / 5).astype(np.float32)
    refused = 0
    for number in range(MUTATIONS):
        folder = tmp_path / str(number)
        shutil.copytree(bundle, folder, copy_function=shutil.copy)
        damage(folder, choose)
        try:
            recognizer = Recognizer.open(folder, choose.choice(("greedy", "1best", None)))
            recognizer.transcribe((samples, 8000), SegmentOptions(whole=True))
        except UserError:
            refused += 1
        shutil.rmtree(folder)
    assert MUTATIONS / 2 < refused < MUTATIONS

"""Mutated requests and bundles: no crash, no hang, no traceback."""

import collections
import concurrent.futures
import contextlib
import json
import random
import socket
import subprocess
import sys
import wave
from io import BytesIO
from pathlib import Path
from typing import Any, Callable, Iterator, Tuple

import pytest

from asrkit.deploy.export import export
from asrkit.pipeline.experiment import REPOSITORY, open_experiment
from tests.deploy.mutations import mutate

REQUESTS, BUNDLES = 1000, 1000
BOUNDARY = "0123456789abcdef"
PATIENCE = 5  # seconds


def read_only(request: Any) -> Iterator[Tuple[str, Any]]:
    """A recogniser that reads the audio and finds nothing in it."""
    from asrkit.recognise.recording import read_recording

    samples, rate = read_recording(request.audio)
    yield "duration", len(samples) / rate


def open_reading() -> Callable[[Any], Iterator[Tuple[str, Any]]]:
    return read_only


def make_request() -> bytes:
    """A correct request for a transcript of half a second."""
    sound = BytesIO()
    with wave.open(sound, "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(8000)
        stream.writeframes(bytes(range(250)) * 32)
    parts = [
        b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + sound.getvalue(),
        b'Content-Disposition: form-data; name="response_format"\r\n\r\nverbose_json',
        b'Content-Disposition: form-data; name="keywords[]"\r\n\r\nONE',
        b'Content-Disposition: form-data; name="stream"\r\n\r\nfalse',
    ]
    body = b"".join(b"--%b\r\n%b\r\n" % (BOUNDARY.encode(), part) for part in parts)
    body += f"--{BOUNDARY}--\r\n".encode()
    head = (
        "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def send(port: int, request: bytes) -> bytes:
    """The answer to raw bytes; an unfinished request is given up after some seconds."""
    answer = b""
    address = ("127.0.0.1", port)
    given_up = contextlib.suppress(ConnectionResetError, BrokenPipeError, socket.timeout)
    with given_up, socket.create_connection(address, timeout=PATIENCE) as connection:
        connection.sendall(request)
        while part := connection.recv(65536):
            answer += part
    return answer


def make_mutated(seed: int, request: bytes) -> bytes:
    """A mutated request; in every second one its body is as long as its head says."""
    draw = random.Random(seed)
    if seed % 2:
        return mutate(request, draw)
    head = request.index(b"\r\n\r\n") + 4
    body = mutate(request[head:], draw)
    old, new = (f"Content-Length: {size}".encode() for size in (len(request) - head, len(body)))
    return request[:head].replace(old, new) + body


def test_no_mutated_request_crashes_stalls_or_shows_a_traceback() -> None:
    pytest.importorskip("starlette", reason="needs the extra [serve]")
    from asrkit.deploy.server import ServerOptions
    from tests.deploy.test_server import serving

    options = ServerOptions(model="any", upload_seconds=1.0)
    with serving(options, opener=open_reading, count=2, waiting=64, time_limit=10.0) as address:
        port, request = int(address.rpartition(":")[2]), make_request()
        assert send(port, request).startswith(b"HTTP/1.1 200")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            mutated = [make_mutated(seed, request) for seed in range(REQUESTS)]
            answers = list(pool.map(lambda each: send(port, each), mutated))
        for seed, answer in enumerate(answers):
            assert b"Traceback" not in answer and not answer.startswith(b"HTTP/1.1 500"), f"seed {seed}"
        statuses = collections.Counter(answer[9:12] for answer in answers)
        assert statuses[b"200"] and statuses[b"400"] and statuses[b"408"] and statuses[b""] < REQUESTS / 20
        assert send(port, request).startswith(b"HTTP/1.1 200")  # all slots are free again


@pytest.mark.k2
def test_no_mutated_bundle_crashes_or_stalls(finished_yesno: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra [use]")
    export(open_experiment(finished_yesno), tmp_path / "bundle")
    command = [sys.executable, "-m", "tests.deploy.mutations", str(tmp_path / "bundle"), str(tmp_path)]
    process = subprocess.run(
        [*command, json.dumps(list(range(BUNDLES)))],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=900,
    )
    last = process.stdout.splitlines()[-1:]
    assert process.returncode == 0, f"{last}\n{process.stderr[-2000:]}"
    assert last[0].startswith(f"seed {BUNDLES - 1}:")

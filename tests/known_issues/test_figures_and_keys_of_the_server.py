"""/metrics didn't count streams, and an API key with non-ASCII letters never matched."""

import base64
from typing import Any, AsyncIterator, Dict, Tuple

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the extra [serve]")
pytest.importorskip("httpx", reason="needs the package httpx")

from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from asrkit.deploy.server import ServerOptions, make_app
from asrkit.deploy.workers import Request
from asrkit.recognise.transcript import Segment

KEY = "schl\u00fcssel"


class Workers:
    """Recognises nothing in a recording of two seconds."""

    pending, count = 0, 1

    async def recognise(self, request: Request) -> AsyncIterator[Tuple[str, Any]]:
        yield "duration", 2.0
        yield "segment", Segment(0.0, 2.0, ())


def client(streams: Any = None, **options: Any) -> TestClient:
    return TestClient(make_app(Workers(), ServerOptions(**options), streams))  # type: ignore[arg-type]


def figures(client: TestClient) -> Dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines if line[0] != "#")}


def test_streamed_responses_are_counted() -> None:
    each = client()
    for data in ({}, {"stream": "true"}):
        each.post("/v1/audio/transcriptions", files={"file": ("a.wav", b"x")}, data=data)
    assert figures(each)["asrkit_audio_seconds_total"] == 4.0


def test_websockets_are_counted() -> None:
    from asrkit.deploy.streams import StreamWorkers
    from tests.recognise.test_stream import make_recognizer, noise

    streams = StreamWorkers(make_recognizer, count=1, most=1)
    try:
        with client(streams) as each:  # one event loop for all
            for _ in range(2):
                with each.websocket_connect("/stream?format=float32") as socket:
                    socket.send_bytes(noise(0.5).astype(np.float32).tobytes())
                    socket.send_text('{"type": "end"}')
                    while socket.receive_json()["type"] != "done":
                        pass
            found = figures(each)
        assert found["asrkit_streams_total"] == 2 and found["asrkit_streams_audio_seconds_total"] == 1.0
    finally:
        streams.end()


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_key_of_any_letters(encoding: str) -> None:
    each = client(api_key=KEY)
    for key, status in ((KEY, 200), (KEY + "x", 401), ("", 401)):
        headers = {b"authorization": b"Bearer " + key.encode(encoding)}
        assert each.get("/v1/models", headers=headers).status_code == status  # type: ignore[arg-type]
    assert each.get("/v1/models").status_code == 401


def test_a_page_sends_the_key_with_the_websocket() -> None:
    each = client(api_key=KEY)
    for key, protocol in ((KEY, "asrkit"), ("another", None), (None, None)):
        encoded = base64.urlsafe_b64encode((key or "").encode()).decode().rstrip("=")
        subprotocols = ["asrkit", f"asrkit-key.{encoded}"] if key else ["asrkit", "asrkit-key.A"]
        if protocol is None:
            with pytest.raises(WebSocketDisconnect), each.websocket_connect("/stream", subprotocols):
                pass
            continue
        with each.websocket_connect("/stream", subprotocols) as socket:
            assert socket.accepted_subprotocol == protocol
            assert "trained without train.chunk" in socket.receive_json()["message"]

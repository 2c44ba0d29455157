"""The websocket /stream, by a real client: samples in, texts out, and what clients do wrong."""

import concurrent.futures
import contextlib
import json
import os
from typing import Any, Dict, Iterator, List

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the extra [serve]")
client = pytest.importorskip("websockets.sync.client", reason="needs the extra [serve]")
exceptions = pytest.importorskip("websockets.exceptions")

from asrkit.deploy.server import ServerOptions  # noqa: E402
from asrkit.deploy.streams import StreamWorkers  # noqa: E402
from asrkit.recognise.stream import StreamRecognizer, to_message  # noqa: E402
from tests.deploy.test_server import open_spelling, serving  # noqa: E402
from tests.recognise.test_stream import make_recognizer, noise  # noqa: E402

DIE = np.full(1600, 9.0, np.float32)


class Mortal:
    """A recogniser whose process ends when it is given DIE."""

    def __init__(self) -> None:
        self._inner = make_recognizer()
        self.sampling_rate = self._inner.sampling_rate
        self.stream = self._inner.stream

    def advance(self, streams: Any) -> Any:
        if any(len(piece) and piece.max() == 9.0 for stream in streams for piece in stream._samples):
            os._exit(1)
        return self._inner.advance(streams)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    streams = StreamWorkers(Mortal, count=2, most=3)
    with serving(ServerOptions(model="streaming"), opener=open_spelling, streams=streams) as address:
        yield address.replace("http", "ws") + "/stream"
    streams.end()


def converse(address: str, samples: np.ndarray, form: str = "int16") -> List[Dict[str, Any]]:
    """All messages of the server, for samples in pieces."""
    piece = 1600
    with client.connect(f"{address}?format={form}") as connection:
        for first in range(0, len(samples), piece):
            part = samples[first : first + piece]
            part = (part * 32768).astype("<i2") if form == "int16" else part.astype("<f4")
            connection.send(part.tobytes())
        connection.send('{"type": "end"}')
        return [json.loads(message) for message in connection]


def expected(samples: np.ndarray) -> List[Dict[str, Any]]:
    recognizer: StreamRecognizer = make_recognizer()
    return [to_message(update) for update in recognizer.transcribe([samples])]


def finals(messages: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    return [message for message in messages if message["type"] == "final"]


@pytest.mark.parametrize("form", ["int16", "float32"])
def test_a_client_gets_partial_and_final_texts(address: str, form: str) -> None:
    samples = np.round(noise(3.0) * 32768) / 32768
    ready, *messages, done = converse(address, samples, form)
    assert ready == {"type": "ready", "sampling_rate": 16000} and done == {"type": "done"}
    assert finals(messages) == finals(expected(samples)) and messages[-1]["text"]
    assert [message["text"] for message in messages] == [message["text"] for message in expected(samples)]


def test_streams_at_once_get_their_own_texts(address: str) -> None:
    all_samples = [np.round(noise(2.0 + seed / 3, seed) * 32768) / 32768 for seed in range(3)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda samples: converse(address, samples), all_samples))
    for samples, messages in zip(all_samples, answers):
        assert finals(messages) == finals(expected(samples))


def test_too_many_streams_are_refused_until_one_ends(address: str) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(client.connect(address))
            assert json.loads(connection.recv())["type"] == "ready"
        fourth = stack.enter_context(client.connect(address))
        assert "try again later" in json.loads(fourth.recv())["message"]
        with pytest.raises(exceptions.ConnectionClosedError, match="1013"):
            fourth.recv()
    assert converse(address, noise(0.5))[-1] == {"type": "done"}


@pytest.mark.parametrize(
    ("query", "sent", "message"),
    [
        ("?format=mp3", None, "format is 'mp3', expected int16 or float32"),
        ("", b"123", "3 bytes, not a whole number of int16 samples"),
        ("?format=float32", np.full(4, np.nan, "<f4").tobytes(), "NaN or infinite samples"),
        ("", "hello", "expected binary samples"),
    ],
)
def test_what_is_no_audio_is_refused(address: str, query: str, sent: Any, message: str) -> None:
    with client.connect(address + query) as connection:
        if sent is not None:
            connection.recv()
            connection.send(sent)
        answer = json.loads(connection.recv())
        assert answer["type"] == "error" and message in answer["message"]
        with pytest.raises(exceptions.ConnectionClosedError):
            connection.recv()


def test_pages_from_elsewhere_are_refused(address: str) -> None:
    with pytest.raises(exceptions.InvalidStatus, match="403"):
        client.connect(address, origin="http://elsewhere.example")
    with client.connect(address, origin=address.replace("ws:", "http:").rpartition("/")[0]) as connection:
        assert json.loads(connection.recv())["type"] == "ready"


def test_a_process_that_dies_harms_only_its_streams_and_is_started_again(address: str) -> None:
    with client.connect(address) as other:  # in another process
        other.recv()
        with client.connect(f"{address}?format=float32") as connection:
            connection.recv()
            connection.send(DIE.tobytes())
            message = json.loads(connection.recv())["message"]
            assert message == "the process that recognised the stream ended"
            with pytest.raises(exceptions.ConnectionClosedError, match="1011"):
                connection.recv()
        other.send('{"type": "end"}')
        assert json.loads(other.recv()) == {"type": "done"}
    assert converse(address, noise(0.5))[-1] == {"type": "done"}


def test_without_a_key_or_a_streaming_model_there_is_no_stream() -> None:
    with serving(ServerOptions(api_key="secret")) as address:
        stream = address.replace("http", "ws") + "/stream"
        with pytest.raises(exceptions.InvalidStatus, match="403"):
            client.connect(stream)
        with client.connect(stream, additional_headers={"Authorization": "Bearer secret"}) as connection:
            assert "trained without train.chunk" in json.loads(connection.recv())["message"]

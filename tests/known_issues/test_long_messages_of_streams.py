"""A message of 40 s ended its stream, samples of an ended stream opened a new one, and two threads wrote to
the same pipe."""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from multiprocessing import Pipe
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the extra [serve]")

from asrkit.deploy import streams, websocket
from asrkit.deploy.streams import LiveStream, _Process, _work


class Silent:
    """A stream that never returns text, and counts its samples."""

    def __init__(self, made: List["Silent"]) -> None:
        made.append(self)
        self.backlog, self.chunks, self.is_done = 0, [], False  # type: ignore[var-annotated]

    def accept(self, samples: np.ndarray) -> None:
        self.backlog += len(samples)

    def finish(self) -> None:
        self.is_done = True

    def is_ready(self) -> bool:
        return False


class Recogniser:
    """Recognises nothing, at 8 kHz."""

    sampling_rate = 8000

    def __init__(self) -> None:
        self.made: List[Silent] = []

    def stream(self) -> Silent:
        return Silent(self.made)

    def advance(self, streams: Any) -> List[Any]:
        return []


@contextlib.contextmanager
def working(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tuple[Any, Recogniser]]:
    """The server's end of the pipe to a process, which is a thread here, and its recogniser."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    recogniser, (ours, theirs) = Recogniser(), Pipe()
    thread = threading.Thread(target=_work, args=(theirs, lambda: recogniser), daemon=True)
    thread.start()
    assert ours.recv() == ("ready", 8000)
    yield ours, recogniser
    ours.close()
    thread.join(20)
    assert not thread.is_alive()


def test_samples_of_a_stream_that_has_ended_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    second = np.zeros(8000, np.float32).tobytes()
    with working(monkeypatch) as (connection, recogniser):
        connection.send((1, "open"))
        for _ in range(31):
            connection.send((1, second))
        number, message = connection.recv()
        assert number == 1 and "30 s of audio wait" in message["message"]
        for content in (second, "end", "gone", second):  # sent before the client knew
            connection.send((1, content))
        connection.send((2, "open"))
        connection.send((2, "end"))
        assert connection.recv() == (2, {"type": "done"})
        assert len(recogniser.made) == 2


def test_a_message_that_cannot_be_read_is_reported(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with working(monkeypatch) as (connection, _):
        connection.send_bytes(b"no pickle")
    assert "can't read a message" in capfd.readouterr().err


def make_process(connection: Any) -> _Process:
    process: Any = object.__new__(_Process)
    process.worker = type("Worker", (), {"connection": connection})
    process.streams, process.samples = {}, 0
    process._writer = concurrent.futures.ThreadPoolExecutor(1)
    return process  # type: ignore[no-any-return]


def test_a_client_that_disconnects_does_not_cut_the_messages_of_others() -> None:
    ours, theirs = Pipe()
    process, received = make_process(ours), []
    samples = np.random.default_rng(0).normal(size=1600).astype(np.float32)

    def read() -> None:
        while not received or received[-1] != (2, "end"):
            received.append(theirs.recv())

    async def send() -> None:
        one, other = LiveStream(process, 1), LiveStream(process, 2)

        async def forever() -> None:
            while True:
                await one.send(samples)

        sending = asyncio.ensure_future(forever())
        await asyncio.sleep(0.5)  # the pipe is full
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        reader = threading.Thread(target=read, daemon=True)
        last = [asyncio.ensure_future(each) for each in (one.close(), other.start(), other.send(samples))]
        await asyncio.sleep(0.2)
        reader.start()
        await asyncio.wait_for(asyncio.gather(*last), 20)
        await asyncio.wait_for(other.end(), 20)
        await asyncio.get_running_loop().run_in_executor(None, reader.join, 20)

    asyncio.run(send())
    kinds = [(number, content if isinstance(content, str) else len(content)) for number, content in received]
    assert kinds[-4:] == [(1, "gone"), (2, "open"), (2, 6400), (2, "end")]
    assert set(kinds[:-4]) == {(1, 6400)}


class Socket:
    """A client that sends some messages."""

    def __init__(self, *messages: Any) -> None:
        self._messages = list(messages)

    async def receive(self) -> Dict[str, Any]:
        content = self._messages.pop(0)
        return {"type": "websocket.receive", "text" if isinstance(content, str) else "bytes": content}


class Sent:
    """A stream that records how many samples it gets, and when."""

    def __init__(self) -> None:
        self.pieces: List[Tuple[float, int]] = []
        self._started = time.monotonic()

    async def send(self, samples: np.ndarray) -> None:
        self.pieces.append((time.monotonic() - self._started, len(samples)))

    async def end(self) -> None:
        pass


def test_a_long_message_is_passed_on_in_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "AHEAD", 2.0)
    sent: Any = Sent()
    socket: Any = Socket(bytes(2 * 8000 * 4), '{"type": "end"}')
    asyncio.run(websocket._receive(socket, sent, "int16", 8000))
    assert [count for _, count in sent.pieces] == [8000] * 4
    assert sent.pieces[1][0] < 0.9 and sent.pieces[3][0] >= 0.9
    assert websocket.AHEAD + websocket.LATE + 2 * websocket.PIECE < streams.LONGEST_BACKLOG

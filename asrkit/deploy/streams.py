"""Processes that recognise streams for the server, many streams each, one chunk of all of them at a time."""

import asyncio
import contextlib
import functools
import itertools
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from asrkit.deploy.workers import Overloaded, Worker, WorkerFailed, open_in_worker
from asrkit.errors import UserError

LONGEST_BACKLOG = 30.0  # seconds of audio that wait, before a stream is given up
RESTART_SECONDS = 5.0  # before another try to start a process that couldn't open the model
Message = Dict[str, Any]  # JSON for the client
Open = Callable[[], Any]  # a StreamRecognizer


def open_streams(place: Path, method: Optional[str], chunk: float, digits: Optional[str]) -> Any:
    """Open the recogniser of a process, with one thread: the processes are the parallelism."""
    import torch

    from asrkit.recognise.opening import open_stream_recognizer

    torch.set_num_threads(1)
    return open_stream_recognizer(place, method, chunk, digits=digits)


def _work(connection: Connection, opener: Open) -> None:
    """Receive (stream, samples), (stream, "end") or (stream, "gone"); send (stream, message)."""
    from asrkit.recognise.stream import Stream, to_message

    recognizer = open_in_worker(connection, opener)
    if recognizer is None:
        return
    connection.send(("ready", recognizer.sampling_rate))
    streams: Dict[int, Stream] = {}
    most = LONGEST_BACKLOG * recognizer.sampling_rate
    while True:
        is_busy = any(stream.is_ready() or stream.is_done for stream in streams.values())
        try:
            while connection.poll(0 if is_busy else None):
                is_busy, (number, content) = True, connection.recv()
                if content == "gone":
                    streams.pop(number, None)
                elif content == "end":
                    streams.setdefault(number, recognizer.stream()).finish()
                else:
                    samples = np.frombuffer(content, np.float32)
                    streams.setdefault(number, recognizer.stream()).accept(samples)
            for stream, update in recognizer.advance(list(streams.values())):
                number = next(each for each in streams if streams[each] is stream)
                connection.send((number, to_message(update)))
            for number, stream in list(streams.items()):
                if stream.is_done and not stream.chunks:
                    connection.send((number, {"type": "done"}))
                elif stream.backlog > most:
                    found = f"{LONGEST_BACKLOG:g} s of audio wait: the server is too slow"
                    connection.send((number, {"type": "error", "message": found}))
                else:
                    continue
                del streams[number]
        except (EOFError, OSError):  # the server has ended
            return


class LiveStream:
    """One client's stream in one of the processes."""

    def __init__(self, process: "_Process", number: int) -> None:
        self._process, self._number = process, number
        self.messages: asyncio.Queue[Message] = asyncio.Queue()  # the last one is of type done or error

    async def send(self, samples: np.ndarray) -> None:
        """Recognise further samples (sample,)."""
        await self._process.send(self._number, samples.astype(np.float32).tobytes())

    async def end(self) -> None:
        """There are no more samples."""
        await self._process.send(self._number, "end")

    async def close(self) -> None:
        """The client has gone."""
        if self._process.streams.pop(self._number, None) is not None:
            await self._process.send(self._number, "gone")


class _Process:
    """A process and its streams."""

    def __init__(self, opener: Open) -> None:
        self.worker = Worker(opener, _work)
        self.streams: Dict[int, LiveStream] = {}
        self.is_ready = False

    def wait_until_ready(self) -> int:
        """The sampling rate of its model."""
        rate = int(self.worker.wait_until_ready())
        self.is_ready = True
        return rate

    @functools.cached_property
    def _sending(self) -> asyncio.Lock:
        return asyncio.Lock()  # made in the event loop, to which Python 3.9 binds it

    async def send(self, number: int, content: Any) -> None:
        """Send in a thread: the pipe of a busy process may be full."""
        async with self._sending:
            with contextlib.suppress(OSError):  # the process ended: its streams are told so
                send = functools.partial(self.worker.connection.send, (number, content))
                await asyncio.get_running_loop().run_in_executor(None, send)

    def deliver(self, number: int, message: Message) -> None:
        """Put a message into the queue of its stream."""
        is_last = message["type"] in ("done", "error")
        stream = self.streams.pop(number, None) if is_last else self.streams.get(number)
        if stream is not None:
            stream.messages.put_nowait(message)

    def read(self, loop: asyncio.AbstractEventLoop, has_ended: threading.Event) -> None:
        """Deliver what the process sends, in a thread of its own; start the process again if it ends."""
        while not has_ended.is_set():
            try:
                while True:
                    number, message = self.worker.connection.recv()
                    loop.call_soon_threadsafe(self.deliver, number, message)
            except (EOFError, OSError):
                self.is_ready = False
            except RuntimeError:  # the loop has ended
                return
            if has_ended.is_set():
                return
            lost = {"type": "error", "message": "the process that recognised the stream ended"}
            for number in list(self.streams):
                loop.call_soon_threadsafe(self.deliver, number, lost)
            try:
                self.worker.restart()
                self.wait_until_ready()
            except (WorkerFailed, UserError, OSError):
                has_ended.wait(RESTART_SECONDS)


class StreamWorkers:
    """Processes for streams; each stream goes to the process that has the fewest."""

    def __init__(self, opener: Open, count: int, most: int) -> None:
        """Start `count` processes for `most` streams in all.

        Raises UserError for a model that can't stream.
        """
        self._most, self._numbers, self._has_ended = most, itertools.count(), threading.Event()
        self._processes = [_Process(opener) for _ in range(count)]
        try:
            self.sampling_rate, *_ = [process.wait_until_ready() for process in self._processes]
        except BaseException:
            self.end()
            raise

    @property
    def count(self) -> int:
        """Streams that are open."""
        return sum(len(process.streams) for process in self._processes)

    @functools.cached_property
    def _readers(self) -> List[threading.Thread]:
        loop = asyncio.get_running_loop()
        readers = [
            threading.Thread(target=process.read, args=(loop, self._has_ended), daemon=True)
            for process in self._processes
        ]
        for reader in readers:
            reader.start()
        return readers

    def open(self) -> LiveStream:
        """A new stream; raises Overloaded if there are as many as may be."""
        assert self._readers
        ready = [process for process in self._processes if process.is_ready]
        if self.count >= self._most or not ready:
            raise Overloaded
        process, number = min(ready, key=lambda each: len(each.streams)), next(self._numbers)
        process.streams[number] = LiveStream(process, number)
        return process.streams[number]

    def end(self) -> None:
        """Kill the processes."""
        self._has_ended.set()
        for process in self._processes:
            process.worker.end()

"""Processes that recognise streams for the server, many streams each, one chunk of all of them at a time."""

import asyncio
import concurrent.futures
import contextlib
import functools
import itertools
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from asrkit.deploy.workers import Overloaded, Worker, WorkerFailed, open_in_worker
from asrkit.errors import UserError

LONGEST_BACKLOG = 30.0  # seconds of audio that wait, before a stream is given up
RESTART_SECONDS = 5.0  # before restarting a process that couldn't open the model
Message = Dict[str, Any]  # JSON for the client
Open = Callable[[], Any]  # a StreamRecognizer


def open_streams(place: Path, method: Optional[str], chunk: float, digits: Optional[str]) -> Any:
    """Open the recogniser of a process, with one thread: the processes are the parallelism."""
    import torch

    from asrkit.recognise.opening import open_stream_recognizer

    torch.set_num_threads(1)
    return open_stream_recognizer(place, method, chunk, digits=digits)


def _work(connection: Connection, opener: Open) -> None:
    """Receive (stream, "open"), then samples, "end" or "gone"; send (stream, message)."""
    from asrkit.recognise.stream import Stream, to_message

    recognizer = open_in_worker(connection, opener)
    if recognizer is None:
        return
    connection.send(("ready", recognizer.sampling_rate))
    streams: Dict[int, Stream] = {}
    most = LONGEST_BACKLOG * recognizer.sampling_rate
    while True:
        is_busy = any(stream.is_ready() or stream.is_done for stream in streams.values())
        received: List[Tuple[int, Any]] = []
        try:
            while connection.poll(0 if is_busy or received else None):
                received.append(connection.recv())
        except (EOFError, OSError):  # the server has ended
            return
        except Exception as error:  # unpickling can raise any exception
            print(f"restarting a process for streams: can't read a message: {error!r}", file=sys.stderr)
            return
        for number, content in received:
            _take(streams, number, content, recognizer)
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


def _take(streams: Dict[int, Any], number: int, content: Any, recognizer: Any) -> None:
    """Handle one message to a process. Samples may arrive after their stream has ended; they are ignored."""
    if content == "open":
        streams[number] = recognizer.stream()
    elif content == "gone":
        streams.pop(number, None)
    elif number in streams and content == "end":
        streams[number].finish()
    elif number in streams:
        streams[number].accept(np.frombuffer(content, np.float32))


class LiveStream:
    """One client's stream in one of the processes."""

    def __init__(self, process: "_Process", number: int) -> None:
        self._process, self._number = process, number
        self.messages: asyncio.Queue[Message] = asyncio.Queue()  # the last one is of type done or error

    async def start(self) -> None:
        """Begin the stream, before samples are sent."""
        await self._process.send(self._number, "open")

    async def send(self, samples: np.ndarray) -> None:
        """Recognise further samples (sample,)."""
        self._process.samples += len(samples)
        await self._process.send(self._number, samples.astype(np.float32).tobytes())

    async def end(self) -> None:
        """There are no more samples."""
        await self._process.send(self._number, "end")

    async def close(self) -> None:
        """The client has gone."""
        self._process.streams.pop(self._number, None)
        await self._process.send(self._number, "gone")  # ignored if the process has ended the stream


class _Process:
    """A process and its streams."""

    def __init__(self, opener: Open) -> None:
        self.worker = Worker(opener, _work)
        self._writer = concurrent.futures.ThreadPoolExecutor(1)
        self.streams: Dict[int, LiveStream] = {}
        self.is_ready = False
        self.samples = 0  # received by all streams so far

    def wait_until_ready(self) -> int:
        """The sampling rate of its model."""
        rate = int(self.worker.wait_until_ready())
        self.is_ready = True
        return rate

    async def send(self, number: int, content: Any) -> None:
        """Send in a thread that only this process uses, because writing to a full pipe blocks.

        With one thread messages stay in order and whole, even if the caller is cancelled.
        """
        await asyncio.get_running_loop().run_in_executor(self._writer, self._send, (number, content))

    def _send(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # the process has ended; `read` reports it to its streams
            self.worker.connection.send(message)

    def end(self) -> None:
        """Kill the process."""
        self.worker.end()
        self._writer.shutdown(wait=False)

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
        self.opened = 0  # number of streams opened so far
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

    @property
    def audio_seconds(self) -> float:
        """Seconds of audio received by all streams so far."""
        return sum(process.samples for process in self._processes) / self.sampling_rate

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
        self.opened += 1
        process.streams[number] = LiveStream(process, number)
        return process.streams[number]

    def end(self) -> None:
        """Kill the processes."""
        self._has_ended.set()
        for process in self._processes:
            process.end()

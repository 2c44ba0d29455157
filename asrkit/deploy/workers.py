"""Processes that recognise for the server: audio that ends or stalls one of them harms nobody else."""

import asyncio
import contextlib
import functools
import multiprocessing
import signal
import threading
import time
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, AsyncIterator, Callable, NamedTuple, Tuple

from asrkit.errors import AudioProblem, UserError

CANCEL = "cancel"
UPLOAD = "the uploaded file"
START_SECONDS = 300.0  # to open a model at most
POLL_SECONDS = 0.1  # between looks at whether the client is still there


class Request(NamedTuple):
    """A recording as it was uploaded, and what its client asks for."""

    name: str
    audio: bytes
    hotwords: Tuple[str, ...] = ()


class Overloaded(Exception):
    """As many requests wait as may."""


class WorkerFailed(Exception):
    """A worker ended or took too long; another one has taken its place."""


# Opens the recogniser in a worker: from a request to its duration in seconds, then segments
Recognise = Callable[[Request], Any]


def _work(connection: Connection, open_recogniser: Callable[[], Recognise]) -> None:
    """Receive requests; send ("duration", seconds), ("segment", Segment)..., then ("done", None)."""
    recognise = open_in_worker(connection, open_recogniser)
    if recognise is None:
        return
    connection.send(("ready", None))
    while True:
        try:
            request = connection.recv()
        except (EOFError, OSError):  # the server has ended
            return
        if request == CANCEL:  # sent when its request was done already
            continue
        try:
            for message in recognise(request):
                if connection.poll():  # the client has gone
                    connection.recv()
                    break
                connection.send(message)
            connection.send(("done", None))
        except UserError as error:
            connection.send(("refused", (error.found, error.expected, error.where, error.todo)))
        except AudioProblem as error:
            todo = "convert it: ffmpeg -i IN OUT.flac"
            connection.send(("refused", (str(error), "a recording of speech", UPLOAD, todo)))


def open_in_worker(connection: Connection, opener: Callable[[], Any]) -> Any:
    """Open the recogniser in a new worker process; if that fails, send the reason and return None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C, the server lets workers finish their requests
    try:
        return opener()
    except UserError as error:
        connection.send(("refused", (error.found, error.expected, error.where, error.todo)))
        return None


def run_worker(work: Callable[[Connection, Any], None], connection: Connection, opener: Any) -> None:
    """Run `work` in a new process until the server ends."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        work(connection, opener)


class Worker:
    """A worker process and the pipe to it."""

    def __init__(
        self, open_recogniser: Callable[[], Any], work: Callable[[Connection, Any], None] = _work
    ) -> None:
        self._open, self._work = open_recogniser, work
        self._lock, self._has_ended = threading.Lock(), False
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # threads of the server don't survive a fork
        connection, theirs = context.Pipe()
        arguments = (self._work, theirs, self._open)
        process = context.Process(target=run_worker, args=arguments, daemon=True)
        resource_tracker.ensure_running()  # now, because starting it unblocks SIGINT
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # inherited by the process
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self.connection, self.process = connection, process

    def restart(self) -> None:
        """Kill the process, and start it again unless `end` was called; raises OSError if it can't start."""
        with self._lock:
            self._kill()
            if not self._has_ended:
                self._start()

    def wait_until_ready(self) -> Any:
        """What it sends when the model is open.

        Raises UserError for a model that can't be opened, WorkerFailed if that ended or took too long.
        """
        with contextlib.suppress(EOFError, OSError):
            if self.connection.poll(START_SECONDS):
                kind, content = self.connection.recv()
                if kind == "ready":
                    return content
                raise UserError(*content)
        raise WorkerFailed("a worker couldn't open the model")

    def end(self) -> None:
        """Kill the process for good; another thread may be restarting it."""
        with self._lock:
            self._has_ended = True
            self._kill()

    def _kill(self) -> None:
        self.process.kill()
        self.process.join()


class Workers:
    """Some workers, and a bounded number of requests that wait for one, first come, first served."""

    def __init__(
        self, open_recogniser: Callable[[], Recognise], count: int, waiting: int, time_limit: float
    ) -> None:
        """Start `count` workers; `waiting` requests may wait, and each takes `time_limit` seconds at most."""
        self._waiting, self._time_limit = waiting, time_limit
        self.count, self.pending = count, 0
        self._workers = [Worker(open_recogniser) for _ in range(count)]
        for worker in self._workers:
            worker.wait_until_ready()

    @functools.cached_property
    def _idle(self) -> "asyncio.Queue[Worker]":
        idle: asyncio.Queue[Worker] = asyncio.Queue()  # made in the event loop, to which Python 3.9 binds it
        for worker in self._workers:
            idle.put_nowait(worker)
        return idle

    async def recognise(self, request: Request) -> AsyncIterator[Tuple[str, Any]]:
        """Yield ("duration", seconds), then ("segment", Segment) for each; the caller may stop early.

        Raises Overloaded, WorkerFailed, and UserError for audio or hotwords that can't be used.
        """
        if self.pending >= self.count + self._waiting:
            raise Overloaded
        self.pending += 1
        try:
            worker = await self._idle.get()
        except BaseException:  # the client has gone
            self.pending -= 1
            raise
        loop, gone = asyncio.get_running_loop(), threading.Event()
        messages: asyncio.Queue[Tuple[str, Any]] = asyncio.Queue()

        def call(function: Callable[[Any], None], argument: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(function, argument)

        def finished(worker: Worker) -> None:
            self.pending -= 1
            self._idle.put_nowait(worker)

        def run() -> None:
            self._run(worker, request, lambda message: call(messages.put_nowait, message), gone)
            call(finished, worker)

        threading.Thread(target=run, daemon=True).start()
        try:
            while True:
                kind, content = await messages.get()
                if kind == "done":
                    return
                if kind == "refused":
                    raise UserError(*content)
                if kind == "failed":
                    raise WorkerFailed(content)
                yield kind, content
        finally:
            gone.set()

    def _run(
        self,
        worker: Worker,
        request: Request,
        send: Callable[[Tuple[str, Any]], None],
        gone: threading.Event,
    ) -> None:
        """Pass on what a worker sends, in a thread of its own; a worker that fails is started again."""
        deadline, cancelled = time.monotonic() + self._time_limit, False
        try:
            worker.connection.send(request)
            while True:
                if gone.is_set() and not cancelled:
                    worker.connection.send(CANCEL)
                    cancelled = True
                if time.monotonic() > deadline:
                    raise TimeoutError(f"recognition took longer than {self._time_limit:g} s")
                if worker.connection.poll(POLL_SECONDS):
                    kind, content = worker.connection.recv()
                    send((kind, content))
                    if kind in ("done", "refused"):
                        break
        except (EOFError, OSError, TimeoutError) as error:
            send(("failed", str(error) or "the worker process ended"))
            with contextlib.suppress(WorkerFailed, UserError, OSError):
                worker.restart()
                worker.wait_until_ready()

    def end(self) -> None:
        """Kill the workers."""
        for worker in self._workers:
            worker.end()

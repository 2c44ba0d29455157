"""Ctrl-C killed the server's worker processes with tracebacks, and requests in progress failed."""

import asyncio
import os
import signal
import threading
import time
from typing import Any, Iterator, List, Tuple

import pytest

from asrkit.deploy.workers import Request, Worker, Workers
from asrkit.errors import UserError


def slow(request: Request) -> Iterator[Tuple[str, Any]]:
    yield "duration", 1.0
    time.sleep(1.0)
    yield "segment", "words"


def open_slow() -> Any:
    return slow


def open_late() -> Any:
    time.sleep(1.0)
    return slow


def test_a_request_in_progress_is_finished() -> None:
    workers = Workers(open_slow, count=1, waiting=1, time_limit=60)

    async def recognise() -> List[Tuple[str, Any]]:
        found = []
        async for message in workers.recognise(Request("a", b"x")):
            os.kill(workers._workers[0].process.pid, signal.SIGINT)
            found.append(message)
        return found

    try:
        assert asyncio.run(recognise()) == [("duration", 1.0), ("segment", "words")]
    finally:
        workers.end()


def test_a_process_that_is_starting_ignores_it_too() -> None:
    worker = Worker(open_late)
    try:
        for _ in range(20):
            os.kill(worker.process.pid or 0, signal.SIGINT)
            time.sleep(0.02)
        worker.wait_until_ready()
    finally:
        worker.end()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_the_server_may_end_while_a_process_is_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(open_slow)
    worker.wait_until_ready()
    is_starting, may_start = threading.Event(), threading.Event()
    start = worker._start

    def start_slowly() -> None:
        is_starting.set()
        may_start.wait(20)
        start()

    monkeypatch.setattr(worker, "_start", start_slowly)
    restarting = threading.Thread(target=worker.restart)
    restarting.start()
    assert is_starting.wait(20)
    ending = threading.Thread(target=worker.end)
    ending.start()
    may_start.set()
    for thread in (restarting, ending):
        thread.join(20)
        assert not thread.is_alive()
    assert not worker.process.is_alive()
    worker.restart()  # as called by a thread that noticed the end of the process
    assert not worker.process.is_alive()


def open_nothing() -> Any:
    raise UserError("no model there", "a bundle", "/nowhere", "check the name")


def test_a_model_that_cannot_be_opened_is_still_reported() -> None:
    worker = Worker(open_nothing)
    with pytest.raises(UserError, match="no model there"):
        worker.wait_until_ready()
    worker.end()

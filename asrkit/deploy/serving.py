"""Run the server: a recogniser in each worker process, OpenAI's interface, and Wyoming if asked for."""

import asyncio
import contextlib
import functools
from pathlib import Path
from typing import Any, AsyncContextManager, Callable, Iterator, Optional, Tuple

import torch

from asrkit.config.recipe import STREAM_CHUNK
from asrkit.deploy.streams import StreamWorkers, open_streams
from asrkit.deploy.workers import Recognise, Request, Workers
from asrkit.errors import UserError
from asrkit.recognise.hotwords import WEIGHT, make_hotwords
from asrkit.recognise.opening import can_stream
from asrkit.recognise.recording import LONGEST, read_recording
from asrkit.recognise.transcript import in_digits
from asrkit.text.digits import write_digits

STREAMS = 32  # at once
LARGEST_MESSAGE = 1 << 20  # bytes, of a stream


def open_recognise(
    place: Path, method: Optional[str], digits: Optional[str] = None, longest: float = LONGEST
) -> Recognise:
    """Open the recogniser of a worker process, with one thread: the processes are the parallelism.

    `digits`: language in which numbers are written in digits, "en" or "zh"; `longest`: limit in seconds on
    the duration of a recording.
    """
    from asrkit.recognise.opening import open_recognizer

    torch.set_num_threads(1)
    recognizer = open_recognizer(place, method)
    if digits:
        write_digits("ten 十一", digits)  # a missing package is reported now

    def recognise(request: Request) -> Iterator[Tuple[str, Any]]:
        phrases = dict.fromkeys(request.hotwords, WEIGHT)
        make_hotwords(phrases, recognizer.units)  # fails now: the first message sends the HTTP status
        samples, rate = read_recording(request.audio, longest)
        yield "duration", len(samples) / rate
        for segment in recognizer.segments(samples, rate, hotwords=phrases):
            yield "segment", in_digits(segment, digits) if digits else segment

    return recognise


def start_workers(
    place: Path,
    method: Optional[str],
    count: int,
    waiting: int,
    time_limit: float,
    digits: Optional[str] = None,
    longest: float = LONGEST,
) -> Workers:
    """Start worker processes for an experiment or bundle; raises UserError if it can't be opened."""
    opener: Callable[[], Recognise] = functools.partial(open_recognise, place, method, digits, longest)
    return Workers(opener, count, waiting, time_limit)


def start_streams(
    place: Path,
    method: Optional[str],
    count: int,
    most: Optional[int],
    chunk: Optional[float],
    digits: Optional[str] = None,
) -> Optional[StreamWorkers]:
    """Start processes for at most `most` simultaneous streams; by default STREAMS if the model can stream.

    `chunk`: seconds of audio per chunk. Returns None without streams. Raises UserError if streams are asked
    for and the model can't stream, or if `chunk` is given without streams.
    """
    if most == 0 or (most is None and not can_stream(place)):
        if chunk is not None:
            todo = "leave --chunk out, or serve a model that was trained with train.chunk"
            raise UserError("--chunk without streams", "a model that streams", "the command line", todo)
        return None
    opener = functools.partial(open_streams, place, method, chunk or STREAM_CHUNK, digits)
    return StreamWorkers(opener, count, most or STREAMS)


def serve(
    app: Any, host: str, port: int, wyoming: Optional[Callable[[], AsyncContextManager[None]]] = None
) -> None:
    """Serve until SIGINT or SIGTERM; requests in progress are finished.

    `wyoming` returns a context manager that serves that protocol meanwhile. Raises UserError if a port is in
    use.
    """
    import uvicorn

    config = uvicorn.Config(
        *(app, host, port),
        log_level="warning",
        timeout_graceful_shutdown=30,
        limit_concurrency=1000,
        ws_max_size=LARGEST_MESSAGE,
    )
    server = uvicorn.Server(config)

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            if wyoming is not None:
                await stack.enter_async_context(wyoming())
            await server.serve()

    try:
        asyncio.run(run())
    except SystemExit:  # uvicorn's, after it logged that it can't bind
        raise UserError(
            f"can't listen on {host}:{port}",
            expected="a free port and an address of this machine",
            where="--host and --port",
            todo="choose another port, for example --port 8001",
        ) from None

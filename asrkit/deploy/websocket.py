"""The websocket /stream: samples in, partial and final texts out.

client                                               server
connect /stream?format=int16 (or float32)         -> {"type": "ready", "sampling_rate": 16000}
binary messages of samples, little endian         -> {"type": "partial", "start", "end", "text"} ...
                                                     {"type": "final", ..., "words": [...]} per utterance
{"type": "end"}                                   -> the last of these, {"type": "done"}, and closes
"""

import asyncio
import contextlib
import json
import time
from typing import List, Optional
from urllib.parse import urlsplit

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from asrkit.corpus.audio import check_samples
from asrkit.deploy.streams import LiveStream, StreamWorkers
from asrkit.deploy.workers import Overloaded
from asrkit.errors import AudioProblem

FORMATS = {"int16": ("<i2", 32768.0), "float32": ("<f4", 1.0)}  # samples, and what is 1.0 there
AHEAD = 10.0  # seconds of audio that a client may be ahead of real time
LATE = 15.0  # seconds of audio that it may catch up after a pause; AHEAD + LATE < streams.LONGEST_BACKLOG
PIECE = 1.0  # seconds of audio sent to a process at once
SUBPROTOCOL = "asrkit"  # the one that the server accepts, from pages that send an API key as the other one
KEY_SUBPROTOCOL = "asrkit-key."  # prefix of the API key, which is in base64url without padding
POLICY, OVERLOADED, UNSUPPORTED, FAILED = 1008, 1013, 1003, 1011  # codes of closing (RFC 6455)


class _Refused(Exception):
    """Why a stream ends early; `code` closes the connection."""

    def __init__(self, message: str, code: int = UNSUPPORTED) -> None:
        super().__init__(message)
        self.code = code


async def serve_stream(websocket: WebSocket, workers: Optional[StreamWorkers]) -> None:
    """Serve one client until it ends, goes, or breaks the protocol."""
    origin = websocket.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != websocket.headers.get("host"):
        await websocket.close(POLICY)  # a page from elsewhere, in the browser of someone who can reach this
        return
    await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in websocket.scope.get("subprotocols", ()) else None)
    form = websocket.query_params.get("format", "int16")
    try:
        if workers is None:
            raise _Refused("the model doesn't stream: it was trained without train.chunk")
        if form not in FORMATS:
            raise _Refused(f"format is {form!r}, expected {' or '.join(FORMATS)}")
        await _converse(websocket, _open(workers), form, workers.sampling_rate)
        await websocket.close()
    except _Refused as error:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await websocket.send_json({"type": "error", "message": str(error)})
            await websocket.close(error.code)
    except (WebSocketDisconnect, RuntimeError):  # starlette's, for a connection that is closed
        pass


def _open(workers: StreamWorkers) -> LiveStream:
    try:
        return workers.open()
    except Overloaded:
        found = "as many streams as may be are open; try again later"
        raise _Refused(found, OVERLOADED) from None


async def _converse(websocket: WebSocket, stream: LiveStream, form: str, rate: int) -> None:
    """Receive samples and send messages until either ends with an error, or both do."""
    tasks: List[asyncio.Future[None]] = []
    try:
        await stream.start()
        await websocket.send_json({"type": "ready", "sampling_rate": rate})
        tasks.append(asyncio.ensure_future(_receive(websocket, stream, form, rate)))
        tasks.append(asyncio.ensure_future(_send(websocket, stream)))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await stream.close()


async def _send(websocket: WebSocket, stream: LiveStream) -> None:
    """Send messages up to the last one."""
    while True:
        message = await stream.messages.get()
        if message["type"] == "error":
            raise _Refused(message["message"], FAILED)
        await websocket.send_json(message)
        if message["type"] == "done":
            return


async def _receive(websocket: WebSocket, stream: LiveStream, form: str, rate: int) -> None:
    """Receive samples up to the end; a client that sends faster than real time is slowed down."""
    dtype, one = FORMATS[form]
    ahead, last, seconds, piece = 0.0, time.monotonic(), 0.0, round(PIECE * rate)
    while True:
        content = await _message(websocket, form)
        if content is None:
            await stream.end()
            return
        samples = np.frombuffer(content, dtype).astype(np.float32) / one
        try:
            check_samples(samples, f"after {seconds:.1f} s")
        except AudioProblem as problem:
            raise _Refused(str(problem)) from None
        for first in range(0, len(samples), piece):
            part = samples[first : first + piece]
            await stream.send(part)
            seconds += len(part) / rate
            before, last = last, time.monotonic()
            ahead = max(-LATE, ahead - (last - before)) + len(part) / rate
            await asyncio.sleep(max(0.0, ahead - AHEAD))


async def _message(websocket: WebSocket, form: str) -> Optional[bytes]:
    """The next samples; None at the end."""
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect
    content: Optional[bytes] = message.get("bytes")
    if content is None and not _is_end(message.get("text")):
        raise _Refused('a text message, expected binary samples or {"type": "end"}')
    if content is not None and len(content) % np.dtype(FORMATS[form][0]).itemsize:
        raise _Refused(f"{len(content)} bytes, not a whole number of {form} samples")
    return content


def _is_end(text: Optional[str]) -> bool:
    try:
        content = json.loads(text or "")
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("type") == "end"

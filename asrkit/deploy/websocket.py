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
from typing import Optional
from urllib.parse import urlsplit

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from asrkit.corpus.audio import check_samples
from asrkit.deploy.streams import LiveStream, StreamWorkers
from asrkit.deploy.workers import Overloaded
from asrkit.errors import AudioProblem

FORMATS = {"int16": ("<i2", 32768.0), "float32": ("<f4", 1.0)}  # samples, and what is 1.0 there
AHEAD = 10.0  # seconds of audio that a client may send faster than they are spoken
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
    await websocket.accept()
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
    await websocket.send_json({"type": "ready", "sampling_rate": rate})
    receiving = asyncio.ensure_future(_receive(websocket, stream, form, rate))
    sending = asyncio.ensure_future(_send(websocket, stream))
    try:
        await asyncio.wait([receiving, sending], return_when=asyncio.FIRST_EXCEPTION)
        for task in (receiving, sending):
            if task.done():
                task.result()
    finally:
        receiving.cancel()
        sending.cancel()
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
    """Take samples up to the end; who sends faster than anyone speaks has to wait."""
    dtype, one = FORMATS[form]
    started, seconds = time.monotonic(), 0.0
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        content, text = message.get("bytes"), message.get("text")
        if content is None:
            if not _is_end(text):
                raise _Refused('a text message, expected binary samples or {"type": "end"}')
            await stream.end()
            return
        if len(content) % np.dtype(dtype).itemsize:
            raise _Refused(f"{len(content)} bytes, which are no whole samples of {form}")
        samples = np.frombuffer(content, dtype).astype(np.float32) / one
        try:
            check_samples(samples, f"after {seconds:.1f} s")
        except AudioProblem as problem:
            raise _Refused(str(problem)) from None
        await stream.send(samples)
        seconds += len(samples) / rate
        await asyncio.sleep(max(0.0, seconds - AHEAD - (time.monotonic() - started)))


def _is_end(text: Optional[str]) -> bool:
    try:
        content = json.loads(text or "")
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("type") == "end"

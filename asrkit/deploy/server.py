"""A server with the interface of OpenAI's speech recognition, a page to try it, figures for Prometheus."""

import asyncio
import base64
import contextlib
import dataclasses
import hmac
import json
import os
import time
from pathlib import Path
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, List, Optional, Tuple

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asrkit.deploy.streams import StreamWorkers
from asrkit.deploy.websocket import KEY_SUBPROTOCOL, POLICY, serve_stream
from asrkit.deploy.workers import Overloaded, WorkerFailed, Workers
from asrkit.deploy.workers import Request as Recording
from asrkit.errors import UserError, escape
from asrkit.recognise.hotwords import MOST as MOST_PHRASES
from asrkit.recognise.hotwords import WHERE as HOTWORDS
from asrkit.recognise.transcript import Segment, Transcript, to_srt, to_vtt, word_rows

Endpoint = Callable[[Request], Awaitable[Response]]

PAGE = Path(__file__).with_name("page.html")
RETRY_SECONDS = 2
FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
# The page loads nothing from elsewhere, and no other page may frame it
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; worker-src blob:; script-src-elem 'self' 'unsafe-inline' blob:; "
    "media-src blob:; img-src data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Limits, and who may use the server."""

    model: str = "asrkit"  # its name in /v1/models
    api_key: Optional[str] = None
    upload_bytes: int = 100 << 20
    upload_seconds: float = 60.0  # a slower client is refused


class Figures:
    """Counts for /metrics."""

    def __init__(self) -> None:
        self.requests: Dict[int, int] = {}  # by status
        self.audio_seconds = self.busy_seconds = 0.0

    def count(self, status: int) -> None:
        """Count an answer."""
        self.requests[status] = self.requests.get(status, 0) + 1

    async def measured(self, recognised: AsyncIterator[Tuple[str, Any]]) -> AsyncIterator[Tuple[str, Any]]:
        """Pass on a worker's messages; add up audio and time of requests that are recognised to the end."""
        started, duration = time.monotonic(), 0.0
        async for kind, content in recognised:
            duration = content if kind == "duration" else duration
            yield kind, content
        self.audio_seconds += duration
        self.busy_seconds += time.monotonic() - started

    def text(self, workers: Workers, streams: Optional[StreamWorkers]) -> str:
        """In Prometheus's text format 0.0.4."""
        lines = ["# TYPE asrkit_requests_total counter"]
        for status, count in sorted(self.requests.items()):
            lines.append(f'asrkit_requests_total{{status="{status}"}} {count}')
        for name, kind, value in (
            ("asrkit_audio_seconds_total", "counter", self.audio_seconds),
            ("asrkit_recognition_seconds_total", "counter", self.busy_seconds),
            ("asrkit_requests_pending", "gauge", workers.pending),
            ("asrkit_workers", "gauge", workers.count),
            ("asrkit_streams", "gauge", streams.count if streams else 0),
            ("asrkit_streams_total", "counter", streams.opened if streams else 0),
            ("asrkit_streams_audio_seconds_total", "counter", streams.audio_seconds if streams else 0),
        ):
            lines += [f"# TYPE {name} {kind}", f"{name} {value:g}"]
        return "\n".join(lines) + "\n"


class _Refused(Exception):
    """An answer in OpenAI's form of errors."""

    def __init__(
        self, status: int, message: str, param: Optional[str] = None, code: Optional[str] = None
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


REFUSALS = (_Refused, UserError, Overloaded, WorkerFailed, ClientDisconnect)


def _refused(error: Exception) -> _Refused:
    """The response for an exception of REFUSALS."""
    if isinstance(error, UserError):
        rows = {"expected": error.expected, "where": error.where, "to do": error.todo}
        about = "; ".join(f"{label}: {text}" for label, text in rows.items() if text)
        param = "keywords" if error.where == HOTWORDS else "file"
        return _Refused(400, f"{error.found} ({about})" if about else error.found, param)
    if isinstance(error, Overloaded):
        return _Refused(503, "all workers are busy and the queue is full", code="overloaded")
    if isinstance(error, WorkerFailed):
        return _Refused(500, str(error), code="worker_failed")
    return error if isinstance(error, _Refused) else _Refused(400, "the client disconnected")


def _error_content(error: _Refused) -> Dict[str, Any]:
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    return {"message": escape(str(error)), "type": kind, "param": error.param, "code": error.code}


def _error_response(error: _Refused) -> Response:
    headers = {"Retry-After": str(RETRY_SECONDS)} if error.status == 503 else {}
    return JSONResponse({"error": _error_content(error)}, error.status, headers)


def make_app(workers: Workers, options: ServerOptions, streams: Optional[StreamWorkers] = None) -> Starlette:
    """The server as an ASGI application; `streams` if the model can."""
    figures = Figures()

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                _check_key(request, options)
                response = await endpoint(request)
            except REFUSALS as error:
                response = _error_response(_refused(error))
            figures.count(response.status_code)
            return response

        return answer

    async def transcribe(request: Request) -> Response:
        form = await _read_form(request, options)
        recognised = figures.measured(workers.recognise(form.recording))
        if form.stream:
            # The first message is awaited here, so that what is refused has its status
            first = await recognised.__anext__()
            return StreamingResponse(_events(first, recognised), media_type="text/event-stream")
        transcript = await _until_gone(request, _collect(recognised, form.recording.name))
        return _answer(transcript, form.format, form.word_times)

    async def stream(websocket: WebSocket) -> None:
        try:
            _check_key(websocket, options)
        except _Refused:
            await websocket.close(POLICY)  # before it is accepted: status 403
            return
        await serve_stream(websocket, streams)

    async def models(_: Request) -> Response:
        model = {"id": options.model, "object": "model", "created": 0, "owned_by": "asrkit"}
        if streams is not None:
            model["streaming_rate"] = streams.sampling_rate  # for the page: Hz that /stream takes
        return JSONResponse({"object": "list", "data": [model]})

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "pending": workers.pending, "workers": workers.count})

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(figures.text(workers, streams), media_type="text/plain; version=0.0.4")

    async def page(_: Request) -> Response:
        return Response(PAGE.read_text(encoding="utf-8"), media_type="text/html", headers=PAGE_HEADERS)

    async def not_found(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        figures.count(error.status_code)
        return _error_response(_Refused(error.status_code, error.detail))

    return Starlette(
        routes=[
            Route("/v1/audio/transcriptions", guarded(transcribe), methods=["POST"]),
            Route("/v1/models", guarded(models)),
            Route("/health", health),
            Route("/metrics", guarded(metrics)),
            Route("/", page),
            WebSocketRoute("/stream", stream),
        ],
        exception_handlers={HTTPException: not_found},
    )


def _check_key(request: HTTPConnection, options: ServerOptions) -> None:
    if options.api_key is None:
        return
    allowed = [os.fsencode(options.api_key)]  # most clients send it in UTF-8, others in Latin-1
    with contextlib.suppress(UnicodeEncodeError):
        allowed.append(options.api_key.encode("latin-1"))
    given = _given_key(request)
    if not any(hmac.compare_digest(given, each) for each in allowed):
        raise _Refused(401, "the API key is missing or wrong", code="invalid_api_key")


def _given_key(request: HTTPConnection) -> bytes:
    """The key from the Authorization header, or from a subprotocol: pages can't set headers of websockets."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.encode("latin-1")  # starlette decodes headers as Latin-1
    for name in request.scope.get("subprotocols", ()):
        if name.startswith(KEY_SUBPROTOCOL):
            with contextlib.suppress(ValueError):
                return base64.urlsafe_b64decode(name[len(KEY_SUBPROTOCOL) :] + "==")
    return b""


@dataclasses.dataclass(frozen=True)
class _Form:
    recording: Recording
    format: str
    stream: bool
    word_times: bool


async def _read_form(request: Request, options: ServerOptions) -> _Form:
    """The upload and its fields; raises _Refused for what is missing, too large, or too slow."""
    _limit_upload(request, options.upload_bytes)
    try:
        reading = request.form(max_files=1, max_fields=MOST_PHRASES + 100, max_part_size=1 << 20)
        fields = await asyncio.wait_for(reading, options.upload_seconds)
        upload = fields.get("file")
        if not isinstance(upload, UploadFile):
            raise _Refused(400, "the field file is missing: the audio, as multipart/form-data", "file")
        audio, name = await upload.read(), upload.filename or "audio"
    except asyncio.TimeoutError:
        raise _Refused(408, f"the upload took longer than {options.upload_seconds:g} s") from None
    except HTTPException as error:  # not multipart, or too many fields
        raise _Refused(400, error.detail, "file") from None
    finally:
        await request.close()
    form = str(fields.get("response_format", "json"))
    if form not in FORMATS:
        expected = ", ".join(FORMATS)
        raise _Refused(400, f"response_format is {form}, expected one of {expected}", "response_format")
    hotwords = tuple(str(each) for key in ("keywords[]", "keywords") for each in fields.getlist(key))
    granularities = fields.getlist("timestamp_granularities[]")
    return _Form(
        Recording(name, audio, hotwords),
        form,
        str(fields.get("stream", "")).lower() == "true",
        "word" in granularities,
    )


def _limit_upload(request: Request, limit: int) -> None:
    """Refuse a body that is, or becomes, larger than the limit."""
    declared = request.headers.get("content-length", "0")
    too_large = _Refused(413, f"the upload is larger than {limit >> 20} MB", "file")
    if declared.isdigit() and int(declared) > limit:
        raise too_large
    receive, read = request.receive, 0

    async def counted() -> Any:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > limit:
            raise too_large
        return message

    request._receive = counted


async def _collect(recognised: AsyncIterator[Tuple[str, Any]], name: str) -> Transcript:
    duration, segments = 0.0, []
    async for kind, content in recognised:
        if kind == "duration":
            duration = content
        else:
            segments.append(content)
    return Transcript(name, duration, tuple(segments))


async def _until_gone(request: Request, work: Awaitable[Transcript]) -> Transcript:
    """Wait for work, unless its client disconnects before."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        working.cancel()
        leaving.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _events(first: Tuple[str, Any], recognised: AsyncIterator[Tuple[str, Any]]) -> AsyncIterator[str]:
    """Server-sent events: a transcript.text.delta per segment, transcript.text.done at the end."""

    def event(content: Dict[str, Any]) -> str:
        return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"

    said: List[str] = []
    messages: List[Tuple[str, Any]] = [first]
    try:
        while messages:
            for kind, content in messages:
                if kind == "segment" and content.text:
                    delta = (" " if said else "") + content.text
                    said.append(content.text)
                    yield event({"type": "transcript.text.delta", "delta": delta})
            messages = [message async for message in _next(recognised)]
        yield event({"type": "transcript.text.done", "text": " ".join(said)})
    except (UserError, WorkerFailed) as error:
        yield event({"type": "error", "error": _error_content(_refused(error))})


async def _next(recognised: AsyncIterator[Tuple[str, Any]]) -> AsyncIterator[Tuple[str, Any]]:
    with contextlib.suppress(StopAsyncIteration):
        yield await recognised.__anext__()


def _answer(transcript: Transcript, form: str, word_times: bool) -> Response:
    if form == "text":
        return PlainTextResponse(transcript.text + "\n")
    if form in ("srt", "vtt"):
        return PlainTextResponse(to_srt(transcript) if form == "srt" else to_vtt(transcript))
    if form == "json":
        return JSONResponse({"text": transcript.text})
    verbose: Dict[str, Any] = {
        "task": "transcribe",
        "language": "",
        "duration": round(transcript.duration, 3),
        "text": transcript.text,
        "segments": [_segment(number, segment) for number, segment in enumerate(transcript.segments)],
    }
    if word_times:
        verbose["words"] = word_rows(transcript.words)
    return JSONResponse(verbose)


def _segment(number: int, segment: Segment) -> Dict[str, Any]:
    """A segment with the fields that OpenAI's clients expect; those of their decoder are constants."""
    return {
        "id": number,
        "seek": 0,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": 0.0,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.0,
    }

"""Wyoming, by its own client."""

import asyncio
import socket
from typing import Any, Iterator, Tuple

import pytest

pytest.importorskip("wyoming", reason="needs the extra [serve]")

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info

from asrkit.deploy.home_assistant import describe, serve_wyoming
from asrkit.deploy.workers import Request, Workers
from asrkit.recognise.transcript import Segment, Word


def measure(request: Request) -> Iterator[Tuple[str, Any]]:
    """A recogniser that returns the number of bytes of audio."""
    yield "duration", 1.0
    yield "segment", Segment(0, 1, (Word(f"{len(request.audio) - 44}bytes", 0, 1, 1.0),))


def open_measuring() -> Any:
    return measure


async def talk(port: int, *events: Event) -> Event:
    async with AsyncClient.from_uri(f"tcp://127.0.0.1:{port}") as client:
        for event in events:
            await client.write_event(event)
        answer = await asyncio.wait_for(client.read_event(), 20)
        assert answer is not None
        return answer


async def converse(workers: Workers) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with serve_wyoming(workers, "127.0.0.1", port, describe("measure", "de"), max_bytes=1000):
        info = Info.from_event(await talk(port, Describe().event()))
        assert [model.name for model in info.asr[0].models] == ["measure"]
        assert info.asr[0].models[0].languages == ["de"]
        start, stop = AudioStart(16000, 2, 1).event(), AudioStop().event()
        chunk = AudioChunk(16000, 2, 1, b"\0" * 200).event()
        answer = await talk(port, Transcribe().event(), start, chunk, chunk, stop)
        assert Transcript.from_event(answer).text == "400bytes"
        assert "more than" in Error.from_event(await talk(port, start, *[chunk] * 6)).text
        assert "before audio-start" in Error.from_event(await talk(port, stop)).text


def test_home_assistants_client_gets_a_transcript() -> None:
    workers = Workers(open_measuring, count=1, waiting=1, time_limit=20)
    try:
        asyncio.run(converse(workers))
    finally:
        workers.end()

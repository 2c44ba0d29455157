"""Wyoming, the protocol by which Home Assistant asks for speech recognition."""

import asyncio
import contextlib
import io
import wave
from typing import AsyncIterator, Dict, Optional

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.server import AsyncEventHandler

from asrkit.deploy.workers import Overloaded, Request, WorkerFailed, Workers
from asrkit.errors import UserError

ATTRIBUTION = Attribution(name="asrkit", url="")
GRACE_SECONDS = 30.0  # at shutdown, for requests in progress
# Raised by events that don't follow the protocol, and by clients that disconnect
BROKEN = (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError)


def describe(model: str, language: str) -> Info:
    """Describe the server to Home Assistant, which offers a model only to assistants of its language."""
    described = AsrModel(
        name=model,
        description=model,
        attribution=ATTRIBUTION,
        installed=True,
        version=None,
        languages=[language],
    )
    program = AsrProgram(
        name="asrkit",
        description="speech recognition",
        attribution=ATTRIBUTION,
        installed=True,
        version=None,
        models=[described],
    )
    return Info(asr=[program])


class Handler(AsyncEventHandler):
    """One connection: Describe is answered by Info, audio by Transcript."""

    def __init__(
        self,
        workers: Workers,
        info: Info,
        max_bytes: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        super().__init__(reader, writer)
        self._workers, self._info, self._max_bytes = workers, info, max_bytes
        self._format: Optional[AudioStart] = None
        self._audio = bytearray()
        self.is_answering = False

    async def handle_event(self, event: Event) -> bool:
        """Answer one event; False closes the connection."""
        if Describe.is_type(event.type):
            await self.write_event(self._info.event())
        elif AudioStart.is_type(event.type):
            self._format = AudioStart.from_event(event)
            self._audio.clear()
        elif AudioChunk.is_type(event.type):
            chunk = AudioChunk.from_event(event)
            self._format = self._format or AudioStart(chunk.rate, chunk.width, chunk.channels)
            self._audio += chunk.audio
            if len(self._audio) > self._max_bytes:
                await self._refuse(f"more than {self._max_bytes >> 20} MB of audio")
                return False
        elif AudioStop.is_type(event.type):
            return await self._answer()
        elif not Transcribe.is_type(event.type):
            return True  # of a newer protocol
        return True

    async def _answer(self) -> bool:
        if self._format is None:
            await self._refuse("audio-stop before audio-start")
            return False
        self.is_answering = True
        try:
            recognised = self._workers.recognise(Request("wyoming", _wave(self._format, bytes(self._audio))))
            words = [content.text async for kind, content in recognised if kind == "segment"]
            await self.write_event(Transcript(text=" ".join(filter(None, words))).event())
        except Overloaded:
            await self._refuse("all workers are busy and the queue is full")
        except (UserError, WorkerFailed, wave.Error, ValueError) as error:
            await self._refuse(getattr(error, "found", str(error)))
        finally:
            self.is_answering = False
        self._format = None
        self._audio.clear()
        return True

    async def _refuse(self, reason: str) -> None:
        await self.write_event(Error(text=reason, code=None).event())


def _wave(audio: AudioStart, samples: bytes) -> bytes:
    """Samples with the header of a WAV file."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(audio.channels)
        file.setsampwidth(audio.width)
        file.setframerate(audio.rate)
        file.writeframes(samples)
    return content.getvalue()


@contextlib.asynccontextmanager
async def serve_wyoming(
    workers: Workers, host: str, port: int, info: Info, max_bytes: int
) -> AsyncIterator[None]:
    """Serve Wyoming inside the block; at its end, requests in progress are finished.

    Raises UserError if the port is in use. Wyoming's own server isn't used, because it replaces the handler
    of SIGTERM with one that stops only Wyoming.
    """
    tasks: Dict[asyncio.Task[None], Handler] = {}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, handler = asyncio.current_task(), Handler(workers, info, max_bytes, reader, writer)
        assert task is not None
        tasks[task] = handler
        try:
            with contextlib.suppress(*BROKEN):
                await handler.run()
        finally:
            del tasks[task]

    try:
        server = await asyncio.start_server(connected, host, port)
    except OSError as error:
        found, expected = f"can't listen on {host}:{port}: {error.strerror}", "a free port"
        todo = f"choose another port, for example --wyoming {port + 1 if port < 65535 else 10300}"
        raise UserError(found, expected, "--host and --wyoming", todo) from None
    try:
        yield
    finally:
        server.close()  # without wait_closed, which would wait for idle clients
        busy = [task for task, handler in tasks.items() if handler.is_answering]
        if busy:
            await asyncio.wait(busy, timeout=GRACE_SECONDS)
        for task in [*tasks]:
            task.cancel()

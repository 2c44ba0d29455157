"""With --wyoming, SIGTERM didn't stop the server, a busy port was ignored, and every model was announced as
English."""

import asyncio
import functools
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict

import pytest

pytest.importorskip("wyoming", reason="needs the extra [serve]")
pytest.importorskip("uvicorn", reason="needs the extra [serve]")

from asrkit.deploy.home_assistant import describe, serve_wyoming
from asrkit.deploy.serving import serve
from asrkit.errors import UserError
from asrkit.recognise import opening
from asrkit.text.lexicon import Pronunciation, write_lexicon

SERVER = """
import contextlib, sys
from asrkit.deploy.home_assistant import describe, serve_wyoming
from asrkit.deploy.serving import serve

async def app(scope, receive, send):
    pass

@contextlib.asynccontextmanager
async def beside():
    async with serve_wyoming(None, "127.0.0.1", int(sys.argv[2]), describe("m", "en"), 1000):
        print("listens", flush=True)
        yield

serve(app, "127.0.0.1", int(sys.argv[1]), beside)
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_sigterm_stops_both() -> None:
    command = [sys.executable, "-c", SERVER, str(free_port()), str(port := free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listens\n"
            with socket.create_connection(("127.0.0.1", port)):  # an idle client must not delay the end
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == -signal.SIGTERM
        finally:
            process.kill()


async def nothing(*_: Any) -> None:
    raise AssertionError("HTTP was served")


def test_a_busy_port_is_refused_before_anything_is_served() -> None:
    workers: Any = None
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        wyoming = functools.partial(serve_wyoming, workers, "127.0.0.1", port, describe("m", "en"), 1000)
        with pytest.raises(UserError, match=f"can't listen on 127.0.0.1:{port}") as error:
            serve(nothing, "127.0.0.1", free_port(), wyoming)
    assert "--wyoming" in error.value.where


def test_a_client_that_breaks_the_protocol_affects_no_other() -> None:
    async def talk() -> None:
        reported: Dict[str, Any] = {}
        loop, workers, port = asyncio.get_running_loop(), None, free_port()
        loop.set_exception_handler(lambda _, context: reported.update(context))
        async with serve_wyoming(workers, "127.0.0.1", port, describe("m", "en"), 1000):  # type: ignore[arg-type]
            for sent in (b"no JSON\n", b"[]\n", b'{"type": "audio-chunk"}\n', b'{"type": "audio-start"}\n'):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(sent)
                assert await asyncio.wait_for(reader.read(), 20) == b""
                writer.close()
        assert not reported

    asyncio.run(talk())


@pytest.mark.parametrize(("word", "language"), [("one", "en"), ("一", "zh")])
def test_the_language_is_that_of_the_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, language: str
) -> None:
    write_lexicon(tmp_path / "lexicon.txt", [Pronunciation(word, ("a",))])
    experiment = SimpleNamespace(folder=lambda name: tmp_path)
    monkeypatch.setattr(opening, "open_experiment", lambda place: experiment)
    assert opening.guess_language(tmp_path) == language

"""asrkit serve: a server with OpenAI's interface of speech recognition, and a page to try it."""

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, AsyncContextManager, AsyncIterator, Callable, Optional

import click

from asrkit.cli.options import FiniteRange, refuse_alone
from asrkit.config.recipe import STREAM_CHUNK
from asrkit.errors import UserError
from asrkit.pipeline.interruption import signals_raise
from asrkit.pipeline.machine import count_cores
from asrkit.recognise.opening import guess_language, one_of

if TYPE_CHECKING:
    from asrkit.deploy.workers import Workers

FOLDER = click.Path(path_type=Path)
KEY = "ASRKIT_API_KEY"
POSITIVE = FiniteRange(min=0, min_open=True)


@click.command("serve")
@click.option("--exp", type=FOLDER, metavar="DIR", help="A finished experiment.")
@click.option("--model", type=FOLDER, metavar="DIR", help="A bundle of asrkit export.")
@click.option("--method", help="greedy, 1best, ...  [default: 1best if there is a graph]")
@click.option("--digits", type=click.Choice(["en", "zh"]), help="Write numbers in digits.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: the cores]")
@click.option(
    "--queue",
    "waiting",
    type=click.IntRange(min=0),
    default=64,
    show_default=True,
    help="Requests that may wait.",
)
@click.option(
    "--max-upload",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="MB per recording; the upload may take 60 s.",
)
@click.option(
    "--max-duration",
    type=POSITIVE,
    default=4 * 3600.0,
    show_default=True,
    help="Seconds of audio per recording.",
)
@click.option(
    "--time-limit",
    type=POSITIVE,
    default=600.0,
    show_default=True,
    help="Seconds of recognition per recording.",
)
@click.option("--streams", type=click.IntRange(min=0), help="At once.  [default: 32 if the model streams]")
@click.option(
    "--chunk",
    type=FiniteRange(min=0.01),
    help=f"Seconds of audio per chunk of a stream.  [default: {STREAM_CHUNK}]",
)
@click.option("--wyoming", type=click.IntRange(1, 65535), metavar="PORT", help="For Home Assistant.")
@click.option(
    "--language",
    metavar="CODE",
    help="Language of --wyoming, such as de.  [default: zh for Chinese words, else en]",
)
def command(
    exp: Optional[Path],
    model: Optional[Path],
    method: Optional[str],
    digits: Optional[str],
    host: str,
    port: int,
    workers: Optional[int],
    waiting: int,
    max_upload: int,
    max_duration: float,
    time_limit: float,
    streams: Optional[int],
    chunk: Optional[float],
    wyoming: Optional[int],
    language: Optional[str],
) -> None:
    """Serve a trained model: POST /v1/audio/transcriptions, GET /v1/models, /health, /metrics, a page.

    A model that was trained with train.chunk also recognises streams, at the websocket /stream.

    If the environment has ASRKIT_API_KEY, clients must send it. Without --host nobody else can reach it.
    """
    place = one_of(exp, model)
    _refuse_language(language, wyoming)
    try:
        from asrkit.deploy.server import ServerOptions, make_app
        from asrkit.deploy.serving import serve, start_streams, start_workers

        if wyoming is not None:
            import asrkit.deploy.home_assistant  # noqa: F401  fails here, before models are loaded
    except ImportError as error:
        raise UserError(
            f"the package {error.name} is missing",
            expected="the extra [serve]",
            where="asrkit serve",
            todo="pip install -e '.[serve]'",
        ) from None
    count, key = workers or count_cores(), os.environ.get(KEY)
    if key == "":
        found, todo = f"{KEY} is empty", f"unset {KEY} to serve without a key"
        raise UserError(found, "the key that clients send", "the environment", todo)
    options = ServerOptions(place.resolve().name, key, max_upload << 20)
    with signals_raise(), contextlib.ExitStack() as stack:
        live = start_streams(place, method, count, streams, chunk, digits)
        if live is not None:
            stack.callback(live.end)
        started = start_workers(place, method, count, waiting, time_limit, digits, max_duration)
        stack.callback(started.end)
        beside = None
        if wyoming is not None:
            spoken = language or guess_language(place)
            beside = _wyoming(started, host, wyoming, options.model, spoken, options.upload_bytes)
        address = f"http://{host}:{port}"
        if live is not None:
            print(f"streams of {live.sampling_rate} Hz on ws://{host}:{port}/stream", flush=True)
        print(f"serving {place} with {started.count} workers on {address}; Ctrl-C stops it", flush=True)
        serve(make_app(started, options, live), host, port, beside)


def _refuse_language(language: Optional[str], wyoming: Optional[int]) -> None:
    """Raise UserError for a --language that isn't a language code, or that is given without --wyoming."""
    refuse_alone("--language", language, "--wyoming", wyoming)
    if language is not None and not re.fullmatch("[a-z]{2,3}(-[A-Z]{2})?", language):
        raise UserError(f"language {language}", "a code such as de or pt-BR", "--language", "--language de")


def _wyoming(
    workers: "Workers", host: str, port: int, model: str, language: str, max_bytes: int
) -> Callable[[], AsyncContextManager[None]]:
    """Return a context manager that serves Wyoming and prints its address once it listens."""
    from asrkit.deploy.home_assistant import describe, serve_wyoming

    @contextlib.asynccontextmanager
    async def run() -> AsyncIterator[None]:
        async with serve_wyoming(workers, host, port, describe(model, language), max_bytes):
            print(f"Wyoming on tcp://{host}:{port}, language {language} (--language)", flush=True)
            yield

    return run

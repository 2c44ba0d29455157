"""asrkit serve: a server with OpenAI's interface of speech recognition, and a page to try it."""

import functools
import os
from pathlib import Path
from typing import Optional

import click

from asrkit.errors import UserError
from asrkit.pipeline.machine import count_cores
from asrkit.recognise.opening import one_of

FOLDER = click.Path(path_type=Path)
KEY = "ASRKIT_API_KEY"


@click.command("serve")
@click.option("--exp", type=FOLDER, metavar="DIR", help="A finished experiment.")
@click.option("--model", type=FOLDER, metavar="DIR", help="A bundle of asrkit export.")
@click.option("--method", help="greedy or 1best.  [default: 1best if there is a graph]")
@click.option("--digits", type=click.Choice(["en", "zh"]), help="Write numbers in digits.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: the cores]")
@click.option("--queue", "waiting", default=64, show_default=True, help="Requests that may wait.")
@click.option("--max-upload", default=100, show_default=True, help="MB per recording.")
@click.option("--time-limit", default=600.0, show_default=True, help="Seconds per recording.")
@click.option("--streams", type=click.IntRange(min=0), help="At once.  [default: 32 if the model streams]")
@click.option(
    "--chunk",
    type=click.FloatRange(min=0.01),
    default=0.32,
    show_default=True,
    help="Seconds of a stream recognised at once.",
)
@click.option("--wyoming", type=click.IntRange(1, 65535), metavar="PORT", help="For Home Assistant.")
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
    time_limit: float,
    streams: Optional[int],
    chunk: float,
    wyoming: Optional[int],
) -> None:
    """Serve a trained model: POST /v1/audio/transcriptions, GET /v1/models, /health, /metrics, a page.

    A model that was trained with train.chunk also recognises streams, at the websocket /stream.

    If the environment has ASRKIT_API_KEY, clients must send it. Without --host nobody else can reach it.
    """
    place = one_of(exp, model)
    try:
        from asrkit.deploy.server import ServerOptions, make_app
        from asrkit.deploy.serving import serve, start_streams, start_workers
    except ImportError as error:
        raise UserError(
            f"the package {error.name} is missing",
            expected="the extra [serve]",
            where="asrkit serve",
            todo="pip install -e '.[serve]'",
        ) from None
    count = workers or count_cores()
    live = start_streams(place, method, count, streams, chunk, digits)
    started = start_workers(place, method, count, waiting, time_limit, digits)
    options = ServerOptions(place.resolve().name, os.environ.get(KEY) or None, max_upload << 20)
    beside = None
    if wyoming is not None:
        from asrkit.deploy.home_assistant import serve_wyoming

        limit = options.upload_bytes
        beside = functools.partial(serve_wyoming, started, host, wyoming, options.model, limit)
        print(f"Wyoming on tcp://{host}:{wyoming}", flush=True)
    address = f"http://{host}:{port}"
    if live is not None:
        print(f"streams of {live.sampling_rate} Hz on ws://{host}:{port}/stream", flush=True)
    print(f"serving {place} with {started.count} workers on {address}; Ctrl-C stops it", flush=True)
    try:
        serve(make_app(started, options, live), host, port, beside)
    finally:
        started.end()
        if live is not None:
            live.end()

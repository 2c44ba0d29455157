#!/usr/bin/env python3
"""The server's streams in real time: --streams clients at once, each speaking test recordings in turn.

An experiment that was trained with train.chunk is served with --workers processes. A text's delay is the time
from the moment when its last samples, with the model's look-ahead, had been sent until it was received. Last
line: the delay that 95 % of all texts don't exceed, in seconds.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import List, Tuple

import numpy as np
import soundfile
from measure import find_corpus, make_parser, print_figure, run_measurement, serving

from asrkit.errors import UserError
from asrkit.pipeline.experiment import open_experiment
from asrkit.recognise.opening import open_stream_recognizer

PIECE = 0.1  # seconds of a message


def measure() -> None:
    """Delays of all texts."""
    parser = make_parser(__doc__, recipe="an4", exp="an experiment trained with train.chunk")
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each stream")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--chunk", type=float, default=0.32)
    parser.add_argument("--method", default="1best", help="of the final texts")
    options = parser.parse_args()
    recognizer = open_stream_recognizer(options.exp, chunk=options.chunk)
    ahead = recognizer.latency[0] - recognizer.model.chunk * recognizer.step
    corpus = find_corpus(options.recipe, options.corpus_dir, options.exp)
    rate = recognizer.sampling_rate
    speech = _read_speech(options.exp, corpus, round(options.seconds * rate), options.streams)
    arguments = ["--exp", str(options.exp)]
    for name in ("chunk", "workers", "streams", "method"):
        arguments += [f"--{name}", str(getattr(options, name))]
    with serving(*arguments) as port:
        answers = asyncio.run(_talk_all(port, speech, rate, ahead))
    delays = np.array([delay for each, _ in answers for delay in each])
    print(f"{len(delays)} texts of {options.streams} streams of {options.seconds:g} s")
    print_figure("stream_finals", sum(finals for _, finals in answers))
    print_figure("stream_delay_p50_seconds", float(np.percentile(delays, 50)), digits=3)
    print_figure("stream_delay_max_seconds", float(delays.max()), digits=3)
    print_figure("stream_delay_p95_seconds", float(np.percentile(delays, 95)), digits=3)


def _read_speech(exp: Path, corpus: Path, samples: int, streams: int) -> List[np.ndarray]:
    """int16 samples for each stream: the test set from another recording on."""
    from lhotse import load_manifest

    cuts = list(load_manifest(open_experiment(exp).folder("manifests") / "test_cuts.jsonl.gz"))
    read = [soundfile.read(corpus / cut.recording.sources[0].source, dtype="int16")[0] for cut in cuts]
    speech = []
    for stream in range(streams):
        parts, place = [], stream * len(read) // streams
        while sum(map(len, parts)) < samples:
            parts.append(read[place % len(read)])
            place += 1
        speech.append(np.concatenate(parts)[:samples])
    return speech


async def _talk_all(
    port: int, speech: List[np.ndarray], rate: int, ahead: float
) -> List[Tuple[List[float], int]]:
    """Clients begin within a second, not in step."""
    clients = (_talk(port, each, rate, ahead, number / len(speech)) for number, each in enumerate(speech))
    return list(await asyncio.gather(*clients))


async def _talk(
    port: int, samples: np.ndarray, rate: int, ahead: float, late: float
) -> Tuple[List[float], int]:
    """Delays in seconds of the texts of one stream, and how many are final. Raises UserError for an error."""
    from websockets.asyncio.client import connect

    await asyncio.sleep(late)
    delays, finals = [], 0
    async with connect(f"ws://127.0.0.1:{port}/stream") as connection:
        await connection.recv()
        started = time.perf_counter()

        async def send() -> None:
            size = round(PIECE * rate)
            for first in range(0, len(samples), size):
                spoken = (first + size) / rate
                await asyncio.sleep(max(0.0, started + spoken - time.perf_counter()))
                await connection.send(samples[first : first + size].tobytes())
            await connection.send('{"type": "end"}')

        sending = asyncio.ensure_future(send())
        async for text in connection:
            message = json.loads(text)
            if message["type"] == "error":
                raise UserError(message["message"], expected="texts")
            if message["type"] == "done":
                break
            spoken = min(len(samples) / rate, np.ceil((message["end"] + ahead) / PIECE) * PIECE)
            delays.append(time.perf_counter() - started - spoken)
            finals += message["type"] == "final"
        await sending
    return delays, finals


if __name__ == "__main__":
    run_measurement(measure)

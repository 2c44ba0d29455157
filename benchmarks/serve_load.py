#!/usr/bin/env python3
"""The server under load: clients that all send at once, each a recording after another.

A bundle of --exp is exported and served with --workers processes. Last line: audio seconds per second of the
server, as a share of those of `asrkit transcribe` with as many processes on the same files.
"""

import concurrent.futures
import json
import re
import subprocess
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path
from typing import List, Tuple

import numpy as np
import soundfile
from measure import ASRKIT, find_corpus, make_parser, print_figure, run_measurement, serving

from asrkit.errors import UserError
from asrkit.pipeline.experiment import open_experiment

TIMEOUT = 300  # seconds for one answer


def measure() -> None:
    """Throughput of transcribe, then of the server."""
    parser = make_parser(__doc__, recipe="an4", exp="a finished experiment of the recipe")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=10, help="of each client")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    corpus = find_corpus(options.recipe, options.corpus_dir, options.exp)
    with tempfile.TemporaryDirectory() as folder:
        bundle, audio = Path(folder) / "bundle", Path(folder) / "audio"
        subprocess.run([*ASRKIT, "export", "--exp", str(options.exp), str(bundle)], check=True)
        recordings = _write_recordings(options.exp, corpus, audio)
        alone = _transcribe(bundle, audio, options.workers, options.clients * options.requests)
        print_figure("transcribe_audio_seconds_per_second", alone)
        served = _load(bundle, recordings, options)
        print_figure("serve_audio_seconds_per_second", served)
        print_figure("serve_share_of_transcribe", served / alone, digits=3)


def _write_recordings(exp: Path, corpus: Path, folder: Path) -> List[Tuple[bytes, float]]:
    """The test set as WAV files, and their contents and seconds."""
    from lhotse import load_manifest

    folder.mkdir()
    recordings = []
    cuts = load_manifest(open_experiment(exp).folder("manifests") / "test_cuts.jsonl.gz")
    for number, cut in enumerate(cuts):
        samples, rate = soundfile.read(corpus / cut.recording.sources[0].source, dtype="float32")
        soundfile.write(folder / f"{number:04d}.wav", samples, rate)
        recordings.append(((folder / f"{number:04d}.wav").read_bytes(), len(samples) / rate))
    return recordings


def _transcribe(bundle: Path, audio: Path, jobs: int, files: int) -> float:
    """Audio seconds per second of asrkit transcribe, without opening the model, on about so many files."""
    repeats = max(1, files // len(list(audio.iterdir())))
    command = [*ASRKIT, "transcribe", "--model", str(bundle), "--nj", str(jobs), *[str(audio)] * repeats]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, elapsed = re.findall(r"([\d.]+) s of audio in ([\d.]+) s", run.stderr)[-1]
    return float(seconds) / float(elapsed)


def _load(bundle: Path, recordings: List[Tuple[bytes, float]], options: "object") -> float:
    """Audio seconds per second; prints failures and latencies. Raises UserError for a failure."""
    clients, requests = options.clients, options.requests  # type: ignore[attr-defined]
    workers = str(options.workers)  # type: ignore[attr-defined]
    with serving("--model", str(bundle), "--workers", workers) as port:
        chosen = [index % len(recordings) for index in range(clients * requests)]
        begun = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            answers = list(pool.map(lambda index: _ask(port, recordings[index][0]), chosen))
        elapsed = time.perf_counter() - begun
    failures = sum(not ok for ok, _ in answers)
    latencies = np.array([seconds for _, seconds in answers])
    print(f"{len(answers)} requests of {clients} clients at once in {elapsed:.1f} s")
    print_figure("serve_failures", failures)
    for percent in (50, 95):
        print_figure(f"serve_latency_p{percent}_seconds", float(np.percentile(latencies, percent)), digits=3)
    if failures:
        raise UserError(f"{failures} of {len(answers)} requests failed", expected="none")
    return sum(recordings[index][1] for index in chosen) / elapsed


def _ask(port: int, audio: bytes) -> Tuple[bool, float]:
    """Whether a recording is answered with a text, and the seconds that takes."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = head.encode() + audio + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/audio/transcriptions",
        body,
        {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    begun = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            is_text = isinstance(json.load(answer).get("text"), str)
    except (OSError, ValueError):
        is_text = False
    return is_text, time.perf_counter() - begun


if __name__ == "__main__":
    run_measurement(measure)

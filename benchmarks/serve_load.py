#!/usr/bin/env python3
"""Many clients of asrkit serve at once: failures, latency, and audio per second beside asrkit transcribe.

Each client sends recordings of the experiment's first test set one after the other, as OpenAI's clients do.
The last line is the seconds of audio that the server recognises per second, divided by those of asrkit
transcribe with as many processes as the server has workers.
"""

import concurrent.futures
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import List, Tuple

import soundfile
from measure import given_experiment, make_parser, print_figure, run_measurement

from asrkit.corpus.manifests import read_cuts
from asrkit.errors import UserError
from asrkit.pipeline.experiment import open_experiment

ASRKIT = [sys.executable, "-c", "from asrkit.cli.main import main; main()"]


def measure() -> None:
    """Start a server, load it, and transcribe the same files."""
    parser = make_parser(__doc__, exp="a decoded experiment")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--requests", type=int, default=4, help="of each client")
    options = parser.parse_args()
    given_experiment(options.exp, "a decoded experiment")
    with tempfile.TemporaryDirectory() as name:
        files = write_recordings(options.exp, Path(name))
        once = transcribe(options.exp, files, options.workers)
        print(f"asrkit transcribe --nj {options.workers}: {once:.1f} times faster than real time")
        port = free_port()
        command = [*ASRKIT, "serve", "--exp", str(options.exp), "--port", str(port)]
        server = subprocess.Popen([*command, "--workers", str(options.workers)], env=one_thread())
        try:
            wait_until_ready(port, server)
            served = load(port, files, options.clients, options.requests)
        finally:
            server.terminate()
            server.wait()
    print_figure("served_of_transcribed_audio", served / once, digits=3)


def write_recordings(exp: Path, folder: Path) -> List[Path]:
    """The test set as WAV files."""
    experiment = open_experiment(exp)
    files = []
    for cut in read_cuts(experiment, experiment.config.corpus.tests[0]):
        samples, rate = soundfile.read(cut.recording.sources[0].source)
        files.append(folder / f"{len(files):04}.wav")
        soundfile.write(files[-1], samples, rate)
    return files


def one_thread() -> "dict[str, str]":
    """The environment, with one thread per process."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def transcribe(exp: Path, files: List[Path], jobs: int) -> float:
    """Seconds of audio per second that asrkit transcribe reports, which leaves out the start."""
    command = [*ASRKIT, "transcribe", "--exp", str(exp), "--nj", str(jobs), *map(str, files)]
    output = subprocess.run(command, capture_output=True, text=True, env=one_thread(), check=True).stderr
    found = re.search(r"([\d.]+) s of audio in ([\d.]+) s", output)
    assert found is not None, output
    return float(found[1]) / float(found[2])


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_ready(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Wait until the server answers; raises UserError if it ends before."""
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).read()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise UserError("the server ended", where="asrkit serve", todo="look at its message above")


def load(port: int, files: List[Path], clients: int, requests: int) -> float:
    """Seconds of audio per second with so many clients at once; prints failures and latencies."""
    contents = [file.read_bytes() for file in files]
    seconds = [soundfile.info(file).duration for file in files]

    def client(number: int) -> Tuple[List[float], int, float]:
        latencies, failures, audio = [], 0, 0.0
        for count in range(requests):
            index = (number * requests + count) % len(contents)
            begun = time.monotonic()
            failures += not post(port, contents[index])
            latencies.append(time.monotonic() - begun)
            audio += seconds[index]
        return latencies, failures, audio

    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        results = list(pool.map(client, range(clients)))
    elapsed = time.monotonic() - begun
    latencies = sorted(latency for each, _, _ in results for latency in each)
    failures = sum(each for _, each, _ in results)
    audio = sum(each for _, _, each in results)
    print(f"asrkit serve: {clients} clients, {len(latencies)} requests, {failures} failed")
    p50, p95 = statistics.median(latencies), latencies[int(0.95 * (len(latencies) - 1))]
    print(f"latency: p50 {p50:.2f} s, p95 {p95:.2f} s; {audio / elapsed:.1f} times faster than real time")
    if failures:
        raise UserError(f"{failures} requests failed", expected="none", where="asrkit serve")
    return audio / elapsed


def post(port: int, content: bytes) -> bool:
    """Send a recording as multipart/form-data; whether a transcript came back."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    address = f"http://127.0.0.1:{port}/v1/audio/transcriptions"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=120) as answer:
            return answer.status == 200 and b'"text"' in answer.read()
    except (urllib.error.URLError, OSError) as error:
        print(f"a request failed: {error}")
        return False


if __name__ == "__main__":
    run_measurement(measure)

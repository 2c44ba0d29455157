"""Latency against error rate: a test set as streams of several chunk sizes, and as whole utterances."""

import dataclasses
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import kaldialign
import numpy as np
import torch
from torch import Tensor

from asrkit.config.symbols import BLANK
from asrkit.corpus.manifests import read_cuts
from asrkit.errors import AudioProblem
from asrkit.model.streaming import StreamingModel
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.parallel import run_parallel
from asrkit.pipeline.progress import Progress
from asrkit.recognise.opening import open_stream_recognizer
from asrkit.recognise.stream import StreamRecognizer, encode_chunks
from asrkit.score.splits import evaluate_transcripts
from asrkit.score.streams import Row, table_of
from asrkit.score.transcripts import load_transcripts
from asrkit.signal.audio import read_samples, resample
from asrkit.storage.files import write_json, write_text

FOLDER = "latency"  # below EXP
PIECE = 0.1  # seconds of samples that a stream takes at once
GAP = -1  # no unit, in an alignment
Token = Tuple[int, int]  # unit and its first frame


class Heard(NamedTuple):
    """What was recognised of a set."""

    words: Dict[str, List[str]]  # by utterance; without those that can't be used
    tokens: Dict[str, List[Token]]
    processor_seconds: float
    chunk: float  # seconds, 0 for whole utterances
    latency: Tuple[float, float]  # seconds, the worst and the mean, without computing


def measure_latency(experiment: Experiment, split: str, method: str, chunks: Sequence[float]) -> List[Row]:
    """A row for whole utterances, then one for each chunk size in seconds.

    The emission delay is that of each token's first frame behind its first frame in whole utterances, where
    both have the token. Rejected utterances count as deletions. Raises UserError for a model that doesn't
    stream, and for a set or method that was not decoded.
    """
    transcripts = load_transcripts(experiment, split, method)[0]
    cuts, found = list(read_cuts(experiment, split)), {}
    sizes = [None, *chunks]

    def work(index: int) -> Heard:
        torch.set_num_threads(1)  # processes are the parallelism, and threads don't survive a fork
        chunk = sizes[index]
        recognizer = open_stream_recognizer(experiment.directory, method, chunk or chunks[0])
        return _hear_all(recognizer, cuts, whole=chunk is None)

    with Progress("latency", len(sizes), "chunk sizes") as bar:

        def done(index: int, heard: Heard) -> None:
            found[index] = heard
            bar.advance(sum(cut.duration for cut in cuts))

        run_parallel(work, len(sizes), experiment.jobs, done)
    step, rows = open_stream_recognizer(experiment.directory, "greedy", chunks[0]).step, []
    for index in range(len(sizes)):
        heard = found[index]
        said = [
            dataclasses.replace(each, hypothesis=heard.words.get(each.id, []), timed=None)
            for each in transcripts
        ]
        (evaluation,) = evaluate_transcripts(experiment, said, [experiment.config.score.unit])
        delays = [step * each for each in _delays(found[0].tokens, heard.tokens)]
        rows.append(
            {
                "chunk": heard.chunk,
                "worst": heard.latency[0],
                "mean": heard.latency[1],
                "delay": float(np.mean(delays)) if delays else None,
                "delay_95": float(np.percentile(delays, 95)) if delays else None,
                "unit": evaluation.unit,
                "errors": evaluation.total.errors,
                "reference": evaluation.total.reference,
                "rate": evaluation.total.rate,
                "interval": evaluation.interval,
                "rtf": heard.processor_seconds / sum(cut.duration for cut in cuts),
            }
        )
    return rows


def _hear_all(recognizer: StreamRecognizer, cuts: Sequence[Any], whole: bool) -> Heard:
    words, tokens, wanted = {}, {}, recognizer.sampling_rate
    seconds = 0.0
    for cut in cuts:
        file, rate = Path(cut.recording.sources[0].source), cut.sampling_rate
        try:
            samples = resample(read_samples(file, round(cut.start * rate), cut.num_samples), rate, wanted)
            started = time.process_time()
            log_probs = _encode_whole(recognizer, samples) if whole else _encode(recognizer, samples)
        except AudioProblem:
            continue
        words[cut.id] = [word.word for word in recognizer.searcher(log_probs, None, 0.0).words]
        seconds += time.process_time() - started
        tokens[cut.id] = _first_frames(log_probs)
    chunk = 0.0 if whole else recognizer.model.chunk * recognizer.step
    return Heard(words, tokens, seconds, chunk, (0.0, 0.0) if whole else recognizer.latency)


def _encode(recognizer: StreamRecognizer, samples: np.ndarray) -> Tensor:
    """Log-probabilities (frame, unit) of a stream."""
    stream, size = recognizer.stream(), round(PIECE * recognizer.sampling_rate)
    found: List[Tensor] = []
    for first in range(0, len(samples), size):
        stream.accept(samples[first : first + size])
        while stream.is_ready():
            found += encode_chunks(recognizer.model, [stream])
    stream.finish()
    while stream.is_ready():
        found += encode_chunks(recognizer.model, [stream])
    if not found:
        raise AudioProblem("too short")
    return torch.cat(found)


@torch.no_grad()
def _encode_whole(recognizer: StreamRecognizer, samples: np.ndarray) -> Tensor:
    """Log-probabilities (frame, unit) of a whole utterance, without any mask."""
    assert isinstance(recognizer.model, StreamingModel)
    model, features = recognizer.model.model, torch.from_numpy(recognizer.bank.extract(samples))[None]
    lengths = torch.tensor([features.shape[1]])
    return model(model.normalise(features, lengths), lengths)[0][0]


def _first_frames(log_probs: Tensor) -> List[Token]:
    """Each token of the best path, with its first frame."""
    best = log_probs.argmax(dim=-1).tolist()
    return [
        (unit, frame)
        for frame, unit in enumerate(best)
        if unit != BLANK and (frame == 0 or best[frame - 1] != unit)
    ]


def _delays(whole: Dict[str, List[Token]], live: Dict[str, List[Token]]) -> List[int]:
    """Frames from each token of whole utterances to the same token of streams."""
    delays: List[int] = []
    for utterance, expected in whole.items():
        found = live.get(utterance, [])
        pairs = kaldialign.align([unit for unit, _ in expected], [unit for unit, _ in found], GAP)
        one, other = iter(expected), iter(found)
        for left, right in pairs:
            first = next(one)[1] if left != GAP else None
            second = next(other)[1] if right != GAP else None
            if left == right and first is not None and second is not None:
                delays.append(second - first)
    return delays


def write_latency(directory: Path, split: str, method: str, rows: Sequence[Row]) -> Path:
    """Write SET.json and SET.md; returns the latter."""
    write_json(directory / f"{split}.json", {"set": split, "method": method, "rows": list(rows)})
    table = directory / f"{split}.md"
    write_text(table, "\n".join(table_of(rows)) + "\n")
    return table

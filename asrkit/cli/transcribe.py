"""asrkit transcribe: recordings to text, JSON, subtitles or CTM."""

import contextlib
import functools
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import click
import numpy as np

from asrkit.cli.options import FiniteRange, refuse_alone
from asrkit.config.recipe import STREAM_CHUNK
from asrkit.errors import AudioProblem, UserError
from asrkit.pipeline.progress import Progress
from asrkit.recognise.hotwords import WEIGHT, make_hotwords, read_hotwords
from asrkit.recognise.recording import find_recordings, read_recording
from asrkit.recognise.transcript import FORMATS, Segment, Transcript, in_digits

if TYPE_CHECKING:  # torch takes seconds to import
    from asrkit.recognise.stream import Update

FOLDER = click.Path(path_type=Path)
Result = Tuple[Optional[Transcript], str]  # and what is wrong with the recording
ENDINGS = {"text": "txt"}  # of files; the others are named as their formats


@click.command("transcribe")
@click.argument("audio", nargs=-1, required=True, type=FOLDER)
@click.option("--exp", type=FOLDER, metavar="DIR", help="A finished experiment.")
@click.option("--model", type=FOLDER, metavar="DIR", help="A bundle of asrkit export.")
@click.option("--method", help="greedy, 1best, ...  [default: 1best if there is a graph]")
@click.option("--format", "form", type=click.Choice([*FORMATS]), default="text", show_default=True)
@click.option("--output", type=FOLDER, metavar="DIR", help="A file per recording here, instead of stdout.")
@click.option("--whole", is_flag=True, help="Recordings of one sentence: no detection of speech.")
@click.option("--stream", "streams", is_flag=True, help="As it comes; - for raw 16-bit samples from stdin.")
@click.option(
    "--chunk",
    type=FiniteRange(min=0.01),
    help=f"With --stream: seconds of audio per chunk.  [default: {STREAM_CHUNK}]",
)
@click.option("--digits", type=click.Choice(["en", "zh"]), help="Write numbers in digits.")
@click.option(
    "--hotwords", type=FOLDER, metavar="FILE", help="Phrases to prefer, one per line, a weight after a tab."
)
@click.option("--hotwords-score", type=FiniteRange(), help=f"Weight per token.  [default: {WEIGHT:g}]")
@click.option(
    "--nj", type=click.IntRange(min=1), default=1, show_default=True, help="Parallel processes, on the CPU."
)
@click.option("--device", default="cpu", show_default=True, help="Of the acoustic model, such as cuda.")
def command(
    audio: Tuple[Path, ...],
    exp: Optional[Path],
    model: Optional[Path],
    method: Optional[str],
    form: str,
    output: Optional[Path],
    whole: bool,
    streams: bool,
    chunk: Optional[float],
    digits: Optional[str],
    hotwords: Optional[Path],
    hotwords_score: Optional[float],
    nj: int,
    device: str,
) -> None:
    """Transcribe AUDIO: files of any format, rate and channels, folders of them, or - for stdin.

    Long recordings are cut at pauses. A recording that can't be used is reported, and the exit status is 1.
    """
    from asrkit.recognise.opening import one_of, open_recognizer
    from asrkit.recognise.segmentation import SegmentOptions

    recordings = find_recordings(audio)
    if streams:
        others = {"--output": output, "--whole": whole, "--hotwords": hotwords, "--nj": nj > 1}
        others["--hotwords-score"] = hotwords_score is not None
        others["--format or --device"] = form not in ("text", "json") or device != "cpu"
        _refuse_with_stream([name for name, value in others.items() if value])
        _stream(recordings, one_of(exp, model), method, chunk or STREAM_CHUNK, form, digits)
        return
    refuse_alone("--chunk", chunk, "--stream", streams)
    refuse_alone("--hotwords-score", hotwords_score, "--hotwords", hotwords)
    _check_output(recordings, form, output)
    _refuse_forks(nj, device)
    recognizer = open_recognizer(one_of(exp, model), method, device)
    weight = WEIGHT if hotwords_score is None else hotwords_score
    phrases = read_hotwords(hotwords, weight) if hotwords is not None else {}
    if phrases:
        make_hotwords(phrases, recognizer.units)  # refuses them before any recording is read

    def recognise(samples: np.ndarray, rate: int) -> Iterator[Segment]:
        for segment in recognizer.segments(samples, rate, SegmentOptions(whole=whole), phrases):
            yield in_digits(segment, digits) if digits else segment

    started, seconds, failures = time.monotonic(), 0.0, 0
    is_shown = output is None and sys.stdout.isatty()
    for transcript, problem in _transcribe_all(recordings, recognise, nj, is_shown):
        if transcript is None:
            failures += 1
            print(f"warning: {problem}", file=sys.stderr, flush=True)
            continue
        seconds += transcript.duration
        _write(transcript, form, output, len(recordings) > 1)
    elapsed = time.monotonic() - started
    factor = f", real-time factor {elapsed / seconds:.2g}" if seconds else ""
    print(f"{seconds:.1f} s of audio in {elapsed:.1f} s{factor}", file=sys.stderr)
    _refuse_failures(failures, len(recordings))


def _check_output(recordings: Sequence[Path], form: str, output: Optional[Path]) -> None:
    """Raise UserError if two transcripts would be in one file that can only have one."""
    if output is not None:
        _refuse_equal_names(recordings)
    elif form in ("srt", "vtt") and len(recordings) > 1:
        found = f"{len(recordings)} recordings, whose subtitles would be one file"
        raise UserError(found, "a file for each", "--format", f"--format {form} --output DIR")


def _transcribe_all(
    recordings: Sequence[Path],
    recognise: Callable[[np.ndarray, int], Iterator[Segment]],
    jobs: int,
    is_shown: bool,
) -> Iterator[Result]:
    """Yield the transcript of each recording in order, or the reason why there is none.

    `is_shown`: transcripts are printed to a terminal, where a progress bar would be drawn between them.
    """
    progress = None if is_shown else Progress("transcribe", len(recordings), "recordings")
    read_stdin = functools.lru_cache(maxsize=1)(lambda: sys.stdin.buffer.read())
    if jobs > 1 and Path("-") in recordings:
        read_stdin()  # before forking: stdin is closed in the worker processes

    def transcribe(index: int) -> Result:
        if jobs > 1:
            _use_one_thread()
        name = recordings[index]
        segments: List[Segment] = []
        try:
            samples, rate = read_recording(read_stdin() if str(name) == "-" else name)
            for segment in recognise(samples, rate):
                segments.append(segment)
                if progress is not None and len(recordings) == 1:
                    progress.advance(segment.end - segment.start, count=0)
        except AudioProblem as problem:
            return None, _described(problem, name)
        return Transcript(str(name), len(samples) / rate, tuple(segments)), ""

    with progress or contextlib.nullcontext():
        yield from _in_order(transcribe, len(recordings), jobs, progress)


def _refuse_with_stream(names: Sequence[str]) -> None:
    """Raise UserError if any of these options is given with --stream."""
    if names:
        raise UserError(f"--stream with {names[0]}", "text or json on stdout", "the command line")


def _described(problem: AudioProblem, name: Path) -> str:
    return str(problem) if str(name) in problem.detail else f"{name}: {problem}"


def _refuse_failures(failures: int, count: int) -> None:
    """Raise UserError if there are any."""
    if failures:
        raise UserError(
            f"{failures} of {count} recordings could not be transcribed",
            expected="audio that libsndfile reads: WAV, FLAC, MP3, OGG, AIFF, AU, CAF, SPHERE",
            where="the warnings above",
            todo="convert them: ffmpeg -i IN OUT.flac",
        )


def _stream(
    recordings: Sequence[Path],
    place: Path,
    method: Optional[str],
    chunk: float,
    form: str,
    digits: Optional[str],
) -> None:
    """Print final texts on stdout and partial ones on stderr, or both as lines of JSON on stdout."""
    from asrkit.recognise.live import play, read_pipe
    from asrkit.recognise.opening import open_stream_recognizer
    from asrkit.recognise.stream import to_message

    recognizer = open_stream_recognizer(place, method, chunk, digits=digits)
    worst, mean = recognizer.latency
    seconds = f"latency {worst:.2f} s at most, {mean:.2f} s on average, without computing"
    print(f"chunks of {recognizer.model.chunk * recognizer.step:g} s: {seconds}", file=sys.stderr)
    failures = 0
    for name in recordings:
        rate = recognizer.sampling_rate
        pieces = read_pipe(sys.stdin.buffer, rate) if str(name) == "-" else play(name, rate)
        try:
            for update in recognizer.transcribe(pieces):
                if form == "json":
                    print(json.dumps(to_message(update), ensure_ascii=False), flush=True)
                else:
                    _print_update(update)
        except AudioProblem as problem:
            failures += 1
            print(f"warning: {_described(problem, name)}", file=sys.stderr, flush=True)
    _refuse_failures(failures, len(recordings))


def _print_update(update: "Update") -> None:
    begin, end = ("\r\x1b[K", "") if sys.stderr.isatty() else ("", "\n")
    if update.is_final:
        print(begin.strip("\n"), end="", file=sys.stderr, flush=True)
        print(update.segment.text, flush=True)
    else:
        print(f"{begin}{update.segment.text}", end=end, file=sys.stderr, flush=True)


def _use_one_thread() -> None:
    """With several processes: they are the parallelism, and torch's threads don't survive a fork."""
    import torch

    torch.set_num_threads(1)


def _refuse_forks(jobs: int, device: str) -> None:
    """Raise UserError for several processes with a GPU, since a process that has used CUDA can't fork."""
    if jobs > 1 and device != "cpu":
        found, expected = f"--nj {jobs} with --device {device}", "one process, or several on the CPU"
        raise UserError(found, expected, "the command line", f"leave --nj out, or --device {device}")


def _refuse_equal_names(recordings: Sequence[Path]) -> None:
    """Raise UserError for two recordings whose transcripts would be one file."""
    first: Dict[str, Path] = {}
    for recording in recordings:
        other = first.setdefault(recording.name, recording)
        if other is not recording:
            raise UserError(
                f"{other} and {recording} have the same name",
                expected="different names, for --output names transcripts as the recordings",
                where="--output",
                todo="transcribe one folder after the other, with an --output each",
            )


def _in_order(
    transcribe: Callable[[int], Result], count: int, jobs: int, progress: Optional[Progress]
) -> Iterator[Result]:
    """Results in the order of the recordings; with one job, each as soon as it is there."""
    found: Dict[int, Result] = {}

    def done(index: int, result: Result) -> None:
        found[index] = result
        if progress is not None:
            progress.advance(result[0].duration if result[0] and count > 1 else 0.0)

    if jobs == 1 or count == 1:
        for index in range(count):
            done(index, transcribe(index))
            yield found.pop(index)
        return
    from asrkit.pipeline.parallel import run_parallel

    run_parallel(transcribe, count, jobs, done)
    yield from (found[index] for index in range(count))


def _write(transcript: Transcript, form: str, output: Optional[Path], is_named: bool) -> None:
    """Write to a file of the recording's name, or to stdout; one of several texts has its name before it."""
    content = FORMATS[form](transcript)
    if output is not None:
        from asrkit.storage.files import write_text

        name = "stdin" if transcript.name == "-" else Path(transcript.name).name
        write_text(output / f"{name}.{ENDINGS.get(form, form)}", content)
        return
    sys.stdout.write(f"{transcript.name}\t{content}" if is_named and form == "text" else content)
    sys.stdout.flush()

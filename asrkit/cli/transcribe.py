"""asrkit transcribe: recordings to text, JSON, subtitles or CTM."""

import sys
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, Optional, Tuple

import click

from asrkit.errors import AudioProblem, UserError
from asrkit.recognise.recording import find_recordings, read_recording
from asrkit.recognise.segmentation import SegmentOptions
from asrkit.recognise.transcript import FORMATS, Transcript, in_digits

FOLDER = click.Path(path_type=Path)
ENDINGS = {"text": "txt"}  # of files; the others are named as their formats


@click.command("transcribe")
@click.argument("audio", nargs=-1, required=True, type=FOLDER)
@click.option("--exp", type=FOLDER, metavar="DIR", help="A finished experiment.")
@click.option("--model", type=FOLDER, metavar="DIR", help="A bundle of asrkit export.")
@click.option("--method", help="greedy or 1best.  [default: 1best if there is a graph]")
@click.option("--format", "form", type=click.Choice([*FORMATS]), default="text", show_default=True)
@click.option("--output", type=FOLDER, metavar="DIR", help="A file per recording here, instead of stdout.")
@click.option("--whole", is_flag=True, help="Recordings of one sentence: no detection of speech.")
@click.option("--digits", type=click.Choice(["en", "zh"]), help="Write numbers in digits.")
@click.option("--nj", type=click.IntRange(min=1), default=1, show_default=True, help="Processes at once.")
@click.option("--device", default="cpu", show_default=True, help="Of the acoustic model, such as cuda.")
def command(
    audio: Tuple[Path, ...],
    exp: Optional[Path],
    model: Optional[Path],
    method: Optional[str],
    form: str,
    output: Optional[Path],
    whole: bool,
    digits: Optional[str],
    nj: int,
    device: str,
) -> None:
    """Transcribe AUDIO: files of any format, rate and channels, folders of them, or - for stdin.

    Long recordings are cut at pauses. A recording that can't be used is reported, and the exit status is 1.
    """
    from asrkit.recognise.opening import one_of, open_recognizer

    recordings = find_recordings(audio)
    recognizer = open_recognizer(one_of(exp, model), method, device)
    options = SegmentOptions(whole=whole)

    def transcribe(index: int) -> Tuple[Optional[Transcript], str]:
        name = recordings[index]
        try:
            source = sys.stdin.buffer.read() if str(name) == "-" else name
            samples, rate = read_recording(source)
            found = recognizer.segments(samples, rate, options)
            segments = tuple(in_digits(each, digits) if digits else each for each in found)
        except AudioProblem as problem:
            return None, f"{name}: {problem}"
        transcript = Transcript(str(name), len(samples) / rate, segments)
        return transcript, ""

    started, seconds, failures = time.monotonic(), 0.0, 0
    for transcript, problem in _in_order(transcribe, len(recordings), nj):
        if transcript is None:
            failures += 1
            print(f"warning: {problem}", file=sys.stderr, flush=True)
            continue
        seconds += transcript.duration
        _write(transcript, form, output, len(recordings) > 1)
    elapsed = time.monotonic() - started
    speed = f", {seconds / elapsed:.0f} times faster than real time" if elapsed else ""
    print(f"{seconds:.1f} s of audio in {elapsed:.1f} s{speed}", file=sys.stderr)
    if failures:
        raise UserError(
            f"{failures} of {len(recordings)} recordings could not be transcribed",
            expected="audio that libsndfile reads: WAV, FLAC, MP3, OGG, AIFF, AU, CAF, SPHERE",
            where="the warnings above",
            todo="convert them: ffmpeg -i IN OUT.flac",
        )


def _in_order(
    transcribe: Callable[[int], Tuple[Optional[Transcript], str]], count: int, jobs: int
) -> Iterator[Tuple[Optional[Transcript], str]]:
    """Results of each recording, in the order of the recordings, as soon as those before are there."""
    if jobs == 1 or count == 1:
        yield from map(transcribe, range(count))
        return
    from asrkit.pipeline.parallel import run_parallel

    found: Dict[int, Tuple[Optional[Transcript], str]] = {}
    run_parallel(transcribe, count, jobs, found.__setitem__)
    yield from (found[index] for index in range(count))


def _write(transcript: Transcript, form: str, output: Optional[Path], is_named: bool) -> None:
    """Write to a file of the recording's name, or to stdout; one of several texts has its name before it."""
    content = FORMATS[form](transcript)
    if output is not None:
        from asrkit.storage.files import write_text

        name = "stdin" if transcript.name == "-" else Path(transcript.name).name
        write_text(output / f"{name}.{ENDINGS.get(form, form)}", content)
        return
    if is_named and form in ("text", "srt", "vtt"):
        content = f"{transcript.name}\t{content}" if form == "text" else f"{transcript.name}\n{content}"
    sys.stdout.write(content)
    sys.stdout.flush()

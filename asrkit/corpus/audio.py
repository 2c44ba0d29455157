"""Open audio files from strangers: check the file, its header and every sample."""

import contextlib
import dataclasses
import hashlib
import io
import os
import stat
import struct
from pathlib import Path
from typing import Any, Iterator, Optional

import numpy as np

from asrkit.corpus.containers import OGG_PAGE, Spliced, check_size, count_samples, with_frame_count
from asrkit.errors import AudioProblem as AudioProblem

BLOCK_SAMPLES = 1 << 20
UNKNOWN_LENGTH = 1 << 62  # libsndfile reports its largest count if the header has no length
RATES = range(1000, 400_000)  # Hz, plausible sampling rates
NOT_DECODED = 0.1  # seconds; codecs may drop as much at the beginning and end
# Formats whose length can be checked; for others libsndfile derives the length from the file size
FORMATS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "SVX", "NIST", "FLAC", "OGG", "MP3")
SYSTEM_FOLDERS = ("/proc/", "/sys/", "/dev/")
LOUDEST = 100.0  # times full scale; louder float samples are probably 16-bit integers, not scaled to -1..1
MEMORY_FOLDER = "/dev/shm/"  # a RAM disk, allowed


@dataclasses.dataclass(frozen=True)
class AudioFacts:
    """Facts about a readable audio file."""

    sampling_rate: int  # Hz
    samples: int
    content: str  # hash of the samples, independent of the container


def inspect_audio(file: Path, max_seconds: float) -> AudioFacts:
    """Read the whole file; raises AudioProblem unless it is mono and has usable, non-constant samples.

    At most `max_seconds` are read: a small file of compressed silence can last for years.
    """
    digest = hashlib.blake2b(digest_size=16)
    low, high, count = np.inf, -np.inf, 0
    with open_whole(file, max_seconds) as sound:
        if sound.channels != 1:
            raise AudioProblem("more than one channel", f"found {sound.channels}, expected 1")
        rate = int(sound.samplerate)
        for block in read_blocks(sound):
            check_samples(block, f"after sample {count}")
            digest.update(block.tobytes())
            low, high, count = min(low, block.min()), max(high, block.max()), count + len(block)
    if count == 0:
        raise AudioProblem("no samples")
    if low == high:
        raise AudioProblem("silence", f"all {count} samples are {float(low):g}")
    return AudioFacts(sampling_rate=rate, samples=count, content=digest.hexdigest())


def check_file(file: Path) -> None:
    """Raise AudioProblem unless it is a regular, non-empty, readable file outside /proc, /sys and /dev."""
    if ".." in file.parts:  # not even looked up
        raise AudioProblem("path outside the corpus", str(file))
    try:
        status = os.stat(file)
        if stat.S_ISDIR(status.st_mode):
            raise AudioProblem("a folder instead of an audio file", str(file))
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would block
            raise AudioProblem("not a regular file", str(file))
        for place in (os.path.abspath(file), os.path.realpath(file)):
            if place.startswith(SYSTEM_FOLDERS) and not place.startswith(MEMORY_FOLDER):
                raise AudioProblem("not a regular file", f"{file} is a system file")
        if status.st_size == 0:
            raise AudioProblem("empty file", str(file))
        open(file, "rb").close()
    except FileNotFoundError:
        raise AudioProblem("missing audio file", str(file)) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise AudioProblem("unreadable audio file", f"{file}: {getattr(error, 'strerror', error)}") from None


def open_whole(file: Path, max_seconds: float) -> Any:
    """open_audio after checks of the file and of its length by its own structure; raises AudioProblem.

    Samples that can't be decoded are found only by reading them.
    """
    check_file(file)
    return open_content(file, max_seconds)


def open_content(file: Path, max_seconds: float) -> Any:
    """open_whole without check_file, for a temporary file that asrkit wrote itself."""
    with _parsing(file):
        check_size(file)
    sound = open_audio(file)
    declared, rate = sound.frames, sound.samplerate
    if declared >= UNKNOWN_LENGTH:
        raise AudioProblem("no length in the header", "for example FLAC written to a pipe")
    if declared > max_seconds * rate:
        raise AudioProblem("too long", f"{declared / rate:.3f} s, the limit is {max_seconds:g} s")
    with _parsing(file):
        held = count_samples(file, sound.format, rate, declared)
    if held is not None and abs(held - declared) > NOT_DECODED * rate:
        kind = "truncated" if held < declared else "longer than the header declares"
        raise AudioProblem(kind, f"the header declares {declared} samples, the file has {held}")
    return sound


def open_audio(file: Path) -> Any:
    """Open the whole file with soundfile, including MP3 without a frame count. Raises AudioProblem."""
    import soundfile

    with _parsing(file):
        sound = soundfile.SoundFile(os.fsencode(file))  # bytes, because a file name need not be valid UTF-8
        if _is_mpeg(sound) and (start := with_frame_count(file, sound.frames)) is not None:
            if start.head:
                sound.close()
                content = Spliced(file, start.head, start.offset)
                sound = soundfile.SoundFile(io.BufferedReader(content, 1 << 16))
            if start.samples is not None:
                sound._info.frames = start.samples  # the only way to correct the length that soundfile reads
    if sound.format not in FORMATS:
        raise AudioProblem("unusable audio format", f"found {sound.format}, expected {', '.join(FORMATS)}")
    if sound.samplerate not in RATES:
        found = f"found {sound.samplerate} Hz, expected {RATES.start} to {RATES.stop} Hz"
        raise AudioProblem("unusable sampling rate", found)
    return sound


@contextlib.contextmanager
def _parsing(file: Path) -> Iterator[None]:
    """Raise AudioProblem in place of the errors that a damaged header causes."""
    try:
        yield
    except (RuntimeError, OSError, ValueError, OverflowError, struct.error) as error:
        reason = str(error).rpartition(": ")[2] or str(error)
        raise AudioProblem("not readable audio", f"{file}: {reason}") from None


def read_blocks(sound: Any, first: int = 0, count: Optional[int] = None) -> Iterator[np.ndarray]:
    """`count` samples starting at `first`, default all, in float32 blocks: (sample,) or (sample, channel).

    A format that can't seek is read from its beginning. Raises AudioProblem for damaged or truncated audio.
    """
    import soundfile

    end, position = sound.frames if count is None else first + count, 0
    longest = max(1, BLOCK_SAMPLES // sound.channels)
    try:
        if first and sound.seekable():
            position = sound.seek(_seek_position(sound, first))
        while position < end and len(block := sound.read(min(end - position, longest), dtype="float32")):
            if position + len(block) > first:
                yield block[max(0, first - position) :]
            position += len(block)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise AudioProblem("not readable audio", str(error).partition(": ")[2] or str(error)) from None
    if count is None and position < end:
        raise AudioProblem("truncated", f"the header declares {end} samples, the file has {position}")


def _is_mpeg(sound: Any) -> bool:
    """Whether it is MPEG audio (MP3 or an older layer), including MPEG audio in a WAV file."""
    return str(sound.subtype).startswith("MPEG_LAYER")


def check_samples(samples: np.ndarray, where: str) -> None:
    """Raise AudioProblem for float samples that are NaN, infinite, or far outside -1 to 1."""
    peak = np.abs(samples).max(initial=0.0)
    if not np.isfinite(peak):
        raise AudioProblem("NaN or infinite samples", where)
    if peak > LOUDEST:
        todo = "if they are 16-bit integers: ffmpeg -i IN -af volume=1/32768 OUT.flac"
        raise AudioProblem("float samples out of range", f"found {peak:g} {where}, expected -1 to 1; {todo}")


def _seek_position(sound: Any, first: int) -> int:
    """A sample at or before `first` from which decoding is exact."""
    # Decoding an MPEG frame needs data from earlier frames, which libsndfile doesn't read after seeking, so
    # decoding starts a second earlier
    if _is_mpeg(sound):
        return max(0, first - int(sound.samplerate))
    if sound.format == "OGG":  # seeking is inexact in the last page
        return max(0, min(first, sound.frames - OGG_PAGE * int(sound.samplerate)) - int(sound.samplerate))
    return first

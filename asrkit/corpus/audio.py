"""Read every sample of an audio file once, and say what is wrong with it."""

import dataclasses
import hashlib
import io
import os
import stat
from pathlib import Path
from typing import Any, Iterator, Optional

import numpy as np

from asrkit.corpus.containers import check_size, count_samples, with_frame_count
from asrkit.errors import AudioProblem as AudioProblem

BLOCK_SAMPLES = 1 << 20
UNKNOWN_LENGTH = 1 << 62  # libsndfile's largest count stands for it
RATES = range(1000, 400_000)  # Hz; of sound
NOT_DECODED = 0.1  # seconds that codecs may leave out at the beginning and end
LAST_PAGE = 30  # seconds; 255 packets at most
# Those whose length can be checked; the others, libsndfile takes as being as long as the file
FORMATS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "SVX", "NIST", "FLAC", "OGG", "MP3")
SYSTEM_FOLDERS = ("/proc/", "/sys/", "/dev/")
MEMORY_FOLDER = "/dev/shm/"  # a disk in memory


@dataclasses.dataclass(frozen=True)
class AudioFacts:
    """What inspection found."""

    sampling_rate: int  # Hz
    samples: int
    content: str  # hash of the samples, the same in whatever container they are


def inspect_audio(file: Path, max_seconds: float) -> AudioFacts:
    """Read the whole file; raises AudioProblem unless it is sound of one channel that can be trained on.

    No more than `max_seconds` are read: a small file of compressed silence may last for years.
    """
    digest = hashlib.blake2b(digest_size=16)
    low, high, count = np.inf, -np.inf, 0
    with open_whole(file, max_seconds) as sound:
        if sound.channels != 1:
            raise AudioProblem("more than one channel", f"found {sound.channels}, expected 1")
        rate = int(sound.samplerate)
        for block in read_blocks(sound):
            if not np.isfinite(block).all():
                raise AudioProblem("NaN or infinite samples", f"after sample {count}")
            digest.update(block.tobytes())
            low, high, count = min(low, block.min()), max(high, block.max()), count + len(block)
    if count == 0:
        raise AudioProblem("no samples")
    if low == high:
        raise AudioProblem("silence", f"all {count} samples are {float(low):g}")
    return AudioFacts(sampling_rate=rate, samples=count, content=digest.hexdigest())


def check_file(file: Path) -> None:
    """Raise AudioProblem unless it is a regular file that isn't empty, and no file of the system's."""
    if ".." in file.parts:  # what lies outside the corpus isn't even looked at
        raise AudioProblem("path outside the corpus", str(file))
    try:
        status = os.stat(file)
        if stat.S_ISDIR(status.st_mode):
            raise AudioProblem("a folder instead of an audio file", str(file))
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise AudioProblem("not a regular file", str(file))
        for place in (os.path.abspath(file), os.path.realpath(file)):
            if place.startswith(SYSTEM_FOLDERS) and not place.startswith(MEMORY_FOLDER):
                raise AudioProblem("not a regular file", f"{file} is one of the system's")
        if status.st_size == 0:
            raise AudioProblem("empty file", str(file))
        open(file, "rb").close()
    except FileNotFoundError:
        raise AudioProblem("missing audio file", str(file)) from None
    except (OSError, ValueError) as error:  # ValueError: the name holds a zero
        raise AudioProblem("unreadable audio file", f"{file}: {getattr(error, 'strerror', error)}") from None


def open_whole(file: Path, max_seconds: float) -> Any:
    """As open_audio, for a file not known yet; raises AudioProblem unless it may be read and is whole.

    That is, by its structure; samples that can't be decoded are found by reading them.
    """
    check_file(file)
    check_size(file)
    sound = open_audio(file)
    declared, rate = sound.frames, sound.samplerate
    if declared >= UNKNOWN_LENGTH:
        raise AudioProblem("no length in the header", "as in FLAC that was written to a pipe")
    if declared > max_seconds * rate:
        raise AudioProblem("too long", f"{declared / rate:.3f} s, {max_seconds:g} s are allowed")
    held = count_samples(file, sound.format, rate)
    if held is not None and abs(held - declared) > NOT_DECODED * rate:
        kind = "truncated" if held < declared else "more than the header says"
        raise AudioProblem(kind, f"the header says {declared} samples, the file holds {held}")
    return sound


def open_audio(file: Path) -> Any:
    """The whole of a file as a soundfile.SoundFile, whatever its header says; raises AudioProblem."""
    import soundfile

    try:
        sound = soundfile.SoundFile(str(file))
        if sound.format == "MP3" and (content := with_frame_count(file, sound.frames)) is not None:
            sound.close()
            sound = soundfile.SoundFile(io.BytesIO(content))
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        reason = str(error).rpartition(": ")[2] or str(error)
        raise AudioProblem("not readable audio", f"{file}: {reason}") from None
    if sound.format not in FORMATS:
        expected = f"one of {', '.join(FORMATS)}, whose length can be checked"
        raise AudioProblem("unusable audio format", f"found {sound.format}, expected {expected}")
    if sound.samplerate not in RATES:
        expected = f"{RATES.start} to {RATES.stop} Hz"
        raise AudioProblem("unusable sampling rate", f"found {sound.samplerate} Hz, expected {expected}")
    return sound


def read_blocks(sound: Any, first: int = 0, count: Optional[int] = None) -> Iterator[np.ndarray]:
    """At most `count` samples from `first` on, or all, in blocks: float32, (samples,) or (samples, channels).

    What can't seek is read from its beginning. Raises AudioProblem, also if not all can be read.
    """
    import soundfile

    end, place = sound.frames if count is None else first + count, 0
    try:
        if first and sound.seekable():
            place = sound.seek(_sure_place(sound, first))
        while place < end and len(block := sound.read(min(end - place, BLOCK_SAMPLES), dtype="float32")):
            if place + len(block) > first:
                yield block[max(0, first - place) :]
            place += len(block)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise AudioProblem("not readable audio", str(error).partition(": ")[2] or str(error)) from None
    if count is None and place < end:
        raise AudioProblem("truncated", f"the header says {end} samples, the file holds {place}")


def _sure_place(sound: Any, first: int) -> int:
    """Where to seek to for the sample `first`, and read on from."""
    if sound.format == "MP3":  # its frames need those before them, which libsndfile doesn't decode then
        return max(0, first - int(sound.samplerate))
    if sound.format == "OGG":  # and in the last page of one it takes the wrong sample
        return max(0, min(first, sound.frames - LAST_PAGE * int(sound.samplerate)) - int(sound.samplerate))
    return first

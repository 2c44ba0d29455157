"""Read every sample of an audio file once, and say what is wrong with it."""

import dataclasses
import hashlib
import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO, Dict, Optional

import numpy as np

BLOCK_SAMPLES = 1 << 20
UNKNOWN_LENGTH = 1 << 62  # libsndfile's largest count stands for it


class AudioProblem(Exception):
    """An audio file can't be used; `kind` is the fault in a few words, `detail` the particulars."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind
        self.detail = detail


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
    import soundfile

    _refuse_non_file(file)
    _refuse_truncated(file)
    digest = hashlib.blake2b(digest_size=16)
    low, high, count = np.inf, -np.inf, 0
    try:
        with soundfile.SoundFile(str(file)) as sound:
            if sound.channels != 1:
                raise AudioProblem("more than one channel", f"found {sound.channels}, expected 1")
            rate, declared = int(sound.samplerate), int(sound.frames)
            if declared >= UNKNOWN_LENGTH:
                raise AudioProblem("no length in the header", "as in FLAC that was written to a pipe")
            if declared > max_seconds * rate:
                raise AudioProblem("too long", f"{declared / rate:.3f} s, {max_seconds:g} s are allowed")
            while len(block := sound.read(BLOCK_SAMPLES, dtype="float32")):
                if not np.isfinite(block).all():
                    raise AudioProblem("NaN or infinite samples", f"after sample {count}")
                digest.update(block.tobytes())
                low, high, count = min(low, block.min()), max(high, block.max()), count + len(block)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise AudioProblem("not readable audio", str(error).partition(": ")[2] or str(error)) from None
    if count == 0:
        raise AudioProblem("no samples")
    if count < declared:
        raise AudioProblem("truncated", f"the header says {declared} samples, the file holds {count}")
    if low == high:
        raise AudioProblem("silence", f"all {count} samples are {float(low):g}")
    return AudioFacts(sampling_rate=rate, samples=count, content=digest.hexdigest())


def _refuse_non_file(file: Path) -> None:
    if ".." in file.parts:  # what lies outside the corpus isn't even looked at
        raise AudioProblem("path outside the corpus", str(file))
    try:
        status = os.stat(file)
        if stat.S_ISDIR(status.st_mode):
            raise AudioProblem("a folder instead of an audio file", str(file))
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise AudioProblem("not a regular file", str(file))
        if status.st_size == 0:
            raise AudioProblem("empty file", str(file))
        open(file, "rb").close()
    except FileNotFoundError:
        raise AudioProblem("missing audio file", str(file)) from None
    except (OSError, ValueError) as error:  # ValueError: the name holds a zero
        raise AudioProblem("unreadable audio file", f"{file}: {getattr(error, 'strerror', error)}") from None


def _refuse_truncated(file: Path) -> None:
    """Compare header and size, because libsndfile takes what is there without complaint."""
    size = file.stat().st_size
    with open(file, "rb") as stream:
        magic = stream.read(12)
        expected: Optional[int] = None
        if magic[:4] == b"RIFF" and magic[8:12] == b"WAVE":
            expected = _wav_size(stream)
        elif magic[:7] == b"NIST_1A":
            expected = _sphere_size(file)
    if expected is not None and size < expected:
        raise AudioProblem("truncated", f"the header says {expected} bytes, the file holds {size}")


def _wav_size(stream: BinaryIO) -> Optional[int]:
    """Bytes up to the end of the chunk `data`, or None where the header doesn't say."""
    while len(header := stream.read(8)) == 8:
        name, length = struct.unpack("<4sI", header)
        if name == b"data":
            # Programs that write to a pipe leave the length at 0 or near its maximum (SoX: 0x7FFFF000).
            return None if length == 0 or length >= 0x7FFFF000 else stream.tell() + int(length)
        stream.seek(length + length % 2, 1)
    return None


def _sphere_size(file: Path) -> Optional[int]:
    """Bytes that a NIST SPHERE header promises, or None where it doesn't say or is compressed."""
    with open(file, "rb") as stream:
        head = stream.read(1024).decode("latin1")
    lines = head.split("\n")
    fields: Dict[str, str] = {}
    for line in lines[2:]:
        if line.strip() == "end_head":
            break
        parts = line.split(None, 2)
        if len(parts) == 3:
            fields[parts[0]] = parts[2].strip()
    coding = fields.get("sample_coding", "pcm")
    if "," in coding:
        raise AudioProblem("compressed SPHERE", f"found sample_coding {coding}, expected pcm or ulaw")
    try:
        frames = int(fields["sample_count"]) * int(fields.get("channel_count", "1"))
        return int(lines[1]) + frames * int(fields["sample_n_bytes"])
    except (KeyError, ValueError, IndexError):
        return None

"""Audio as it comes: raw samples from a pipe, or a recording at the pace at which it was spoken."""

import time
from pathlib import Path
from typing import BinaryIO, Iterator

import numpy as np

from asrkit.errors import UserError
from asrkit.recognise.recording import read_recording
from asrkit.signal.audio import resample

PIECE = 0.1  # seconds
# The first bytes of audio files; those of an MP3 file without ID3 tag could be samples
MARKS = {
    b"RIFF": "WAV",
    b"RF64": "WAV",
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3\x03": "MP3",
    b"ID3\x04": "MP3",
    b"FORM": "AIFF",
    b".snd": "AU",
    b"NIST": "SPHERE",
}


def read_pipe(pipe: BinaryIO, rate: int) -> Iterator[np.ndarray]:
    """Samples (sample,) of raw 16-bit audio, little endian, one channel, as soon as they are there.

    Raises UserError for the header of an audio file.
    """
    read = getattr(pipe, "read1", pipe.read)
    size, left, is_first = 2 * round(PIECE * rate), b"", True
    while content := read(size):
        left += content
        if is_first and len(left) < 4:
            continue
        if is_first and (kind := MARKS.get(left[:4])):
            expected = f"raw samples: 16-bit integers, little endian, {rate} Hz, one channel"
            todo = f"arecord -t raw -f S16_LE -r {rate}, or ffmpeg -i IN -f s16le -ac 1 -ar {rate} -"
            raise UserError(f"a file on stdin: {kind}", expected, "--stream -", todo)
        even, is_first = len(left) // 2 * 2, False
        yield np.frombuffer(left[:even], "<i2").astype(np.float32) / 32768
        left = left[even:]
    if is_first and len(left) > 1:  # one sample
        yield np.frombuffer(left[:2], "<i2").astype(np.float32) / 32768


def play(file: Path, rate: int) -> Iterator[np.ndarray]:
    """Samples (sample,) of a recording at `rate` Hz, each piece when its last sample has been spoken."""
    samples = resample(*read_recording(file), rate)
    size, started = round(PIECE * rate), time.monotonic()
    for first in range(0, len(samples), size):
        piece = samples[first : first + size]
        time.sleep(max(0.0, started + (first + len(piece)) / rate - time.monotonic()))
        yield piece

"""Synthetic speech by py-nanotts (SVOX Pico): repeatable, and in parallel.

Pico has six voices: en-GB, en-US, de-DE, es-ES, fr-FR, it-IT. Those that aren't English read English by their
own language's letter-to-sound rules: the same word always sounds the same in one voice, and different
between voices.
"""

import concurrent.futures.process
import contextlib
import ctypes
import dataclasses
import functools
import multiprocessing
import wave
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Sequence, Tuple

import numpy as np

from asrkit.errors import UserError
from asrkit.pipeline.progress import Progress
from asrkit.storage.files import whole_file
from asrkit.storage.fingerprint import hash_value

SAMPLING_RATE = 16000  # Pico's own
VOLUME = 0.5  # at 1.0 loud vowels clip
NOISE = 16  # of 32768: even noise under the speech, since digital silence is nothing a microphone gives
QUIET = 200  # of 32768; an utterance ends at the last sample above it
TAIL = 0.2  # seconds kept after that; some voices add 0.6 of silence
RENDERING = 1  # raise this when the same sentence is to sound different


@dataclasses.dataclass(frozen=True)
class Speech:
    """A sentence and how it is to be spoken; pitch and speed in percent of the voice's own."""

    voice: str
    pitch: int
    speed: int
    text: str  # words in lower case; a single letter is spoken as its name

    @property
    def id(self) -> str:
        """Names all that the samples depend on: a file of this name holds this speech."""
        key = [self.voice, self.pitch, self.speed, self.text, RENDERING, _engine_version()]
        return f"{self.voice}-{hash_value(key)[:12]}"


def speak(speech: Speech) -> "np.ndarray[Any, Any]":
    """Samples (n,), int16 at 16 kHz; the same for the same speech where memory is clear (speak_files)."""
    from py_nanotts import NanoTTS

    # Capital letters, so that "y" or "a" is read as a letter's name and not as a word.
    spoken = " ".join(word.upper() if len(word) == 1 else word for word in speech.text.split())
    pcm = NanoTTS().speak(spoken, speech.voice, speech.speed / 100, speech.pitch / 100, VOLUME)
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.int32)
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    if not len(loud):
        raise RuntimeError(f"{speech.voice} gave silence for {speech.text!r}")
    samples = samples[: loud[-1] + round(TAIL * SAMPLING_RATE)]
    generator = np.random.default_rng(int(hash_value(speech.id), 16))
    noisy = samples + generator.integers(-NOISE, NOISE + 1, len(samples))
    clipped: np.ndarray[Any, Any] = np.clip(noisy, -32768, 32767).astype("<i2")
    return clipped


def speak_files(jobs: Sequence[Tuple[Speech, Path]], processes: int) -> None:
    """Write each speech as a 16-bit WAV file, whole or not at all; the bytes don't depend on `processes`.

    Raises UserError when a process is killed.
    """
    if not jobs:
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        max_workers=max(1, min(processes, len(jobs))),
        mp_context=multiprocessing.get_context("spawn"),  # a forked process inherits memory that was used
        initializer=_use_clear_memory,
    )
    try:
        with pool, Progress("speaking", total=len(jobs)) as bar:
            for seconds in pool.map(_speak_file, jobs, chunksize=8):
                bar.advance(audio_seconds=seconds)
    except concurrent.futures.process.BrokenProcessPool:
        raise UserError(
            "a process that was speaking ended before its time",
            expected="processes that live until all is spoken",
            where=f"one of {processes}; the system kills when memory runs out",
            todo="run the same command again: what is spoken is kept",
        ) from None


def _speak_file(job: Tuple[Speech, Path]) -> float:
    """Returns seconds of audio."""
    speech, file = job
    samples = speak(speech)
    with whole_file(file) as temporary, wave.open(str(temporary), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(SAMPLING_RATE)
        stream.writeframes(samples.tobytes())
    return len(samples) / SAMPLING_RATE


def _use_clear_memory() -> None:
    """Make speech repeatable.

    py-nanotts hands Pico 2.5 MB from malloc uncleared, and Pico's result depends on what was there: the
    same sentence twice in one process differs. Blocks above the mmap threshold come cleared from the kernel,
    but glibc raises the threshold above 2.5 MB when the first is freed; a threshold set by hand stays.
    """
    m_mmap_threshold = -3  # malloc.h
    with contextlib.suppress(AttributeError):  # other C libraries have no mallopt, nor a moving threshold
        ctypes.CDLL(None).mallopt(m_mmap_threshold, 1 << 17)


@functools.cache
def _engine_version() -> str:
    try:
        return version("py-nanotts")
    except PackageNotFoundError:
        raise UserError(
            "py-nanotts isn't installed",
            expected="the speech synthesis that speaks the corpus",
            where="this Python environment",
            todo="make setup, or pip install py-nanotts",
        ) from None

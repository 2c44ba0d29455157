"""Synthetic speech by py-nanotts (SVOX Pico), reproducible and in parallel.

Voices: en-GB, en-US, de-DE, es-ES, fr-FR, it-IT. The non-English ones pronounce English words by the
letter-to-sound rules of their language: consistent within a voice, different between voices.
"""

import concurrent.futures.process
import contextlib
import ctypes
import dataclasses
import functools
import multiprocessing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Sequence, Tuple

import numpy as np

from asrkit.errors import UserError
from asrkit.pipeline.progress import Progress
from asrkit.storage.files import whole_file
from asrkit.storage.fingerprint import hash_value

SAMPLING_RATE = 16000  # Pico's own
VOLUME = 0.5  # loud vowels clip at 1.0
NOISE = 16  # of 32768; uniform noise is added, because microphones give no digital silence
QUIET = 200  # of 32768; the last sample above it ends the utterance
TAIL = 0.2  # seconds kept after that; some voices add 0.6 s of silence
RENDERING = 1  # increase it when the code changes the samples


@dataclasses.dataclass(frozen=True)
class Speech:
    """A sentence and how to speak it; pitch and speed in percent of the voice's default."""

    voice: str
    pitch: int
    speed: int
    text: str  # words in lower case; single letters are spelled

    @property
    def id(self) -> str:
        """Voice and hash of everything that the samples depend on."""
        key = [self.voice, self.pitch, self.speed, self.text, RENDERING, _engine_version()]
        return f"{self.voice}-{hash_value(key)[:12]}"


def speak(speech: Speech) -> "np.ndarray[Any, Any]":
    """Samples (sample,), int16 at 16 kHz; reproducible in the processes of speak_files."""
    from py_nanotts import NanoTTS

    # Pico spells capital letters: "Y", but also "A", which would be a word
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
    """Write 16-bit WAV files; the bytes don't depend on `processes`. Raises UserError if one is killed."""
    if not jobs:
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        max_workers=max(1, min(processes, len(jobs))),
        mp_context=multiprocessing.get_context("spawn"),  # a forked process inherits used memory
        initializer=_use_clear_memory,
    )
    try:
        with pool, Progress("speaking", total=len(jobs)) as bar:
            for seconds in pool.map(_speak_file, jobs, chunksize=8):
                bar.advance(audio_seconds=seconds)
    except concurrent.futures.process.BrokenProcessPool:
        raise UserError(
            "a speech synthesis process was killed (often: out of memory)",
            "processes that run to their end",
            f"one of {processes}",
            "run the same command again: finished files are kept",
        ) from None


def _speak_file(job: Tuple[Speech, Path]) -> float:
    """Write one file; returns seconds of audio."""
    import soundfile

    speech, file = job
    samples = speak(speech)
    with whole_file(file) as temporary:
        soundfile.write(str(temporary), samples, SAMPLING_RATE, "PCM_16", format="WAV")
    return len(samples) / SAMPLING_RATE


def _use_clear_memory() -> None:
    """Make speech reproducible.

    py-nanotts gives Pico 2.5 MB of uninitialised memory, and the samples depend on its content. Blocks above
    malloc's mmap threshold come zeroed from the kernel, but glibc raises the threshold above 2.5 MB when the
    first block is freed. A threshold set explicitly stays.
    """
    m_mmap_threshold = -3  # malloc.h
    with contextlib.suppress(AttributeError):  # other C libraries have no mallopt
        ctypes.CDLL(None).mallopt(m_mmap_threshold, 1 << 17)


@functools.cache
def _engine_version() -> str:
    try:
        return version("py-nanotts")
    except PackageNotFoundError:
        raise UserError(
            "py-nanotts isn't installed",
            "the speech synthesis for recipes/demo",
            "this Python environment",
            "make setup, or pip install py-nanotts",
        ) from None

"""Recordings of noise and room impulse responses (RIRs) in a folder."""

import contextlib
from pathlib import Path
from typing import Iterator, List, Sequence

import numpy as np
from lhotse import Recording

from asrkit.errors import UserError
from asrkit.pipeline.inputs import walk
from asrkit.signal.level import QUIETEST_DECIBELS, without_silence

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
WINDOW_SECONDS = 10.0  # of a long noise, read to find the part that isn't silent
SILENT_PEAK = 10 ** (QUIETEST_DECIBELS / 20)


def find_recordings(directory: Path, setting: str) -> List[Path]:
    """The audio files below a folder, sorted; raises UserError, which names `setting`, if there are none."""
    found = [file.path for file in walk(directory, "")] if directory.is_dir() else []
    files = sorted(file for file in found if file.lower().endswith(AUDIO_SUFFIXES))
    if not files:
        missing = "audio file there" if directory.is_dir() else "such folder"
        raise UserError(
            f"{setting}: no {missing}",
            f"a folder that holds {', '.join(AUDIO_SUFFIXES)} files, directly or in subfolders",
            str(directory),
            f"correct {setting}, or leave it out",
        )
    return [Path(file) for file in files]


class Recordings:
    """Recordings at one rate: others are resampled, and of several channels the first is used."""

    def __init__(self, files: Sequence[Path], rate: int, setting: str) -> None:
        """Read the headers of the files; raises UserError, which names `setting`."""
        self.rate, self.setting = rate, setting
        self._recordings: List[Recording] = []
        for file in files:
            with self._usable(str(file)):
                self._recordings.append(Recording.from_file(file).resample(rate))
                if not self._recordings[-1].num_samples:
                    raise ValueError("no samples")

    def __len__(self) -> int:
        return len(self._recordings)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """A whole recording (sample,). Raises UserError if it can't be read or is silent."""
        recording = self._recordings[int(random.integers(len(self)))]
        with self._usable(recording.sources[0].source):
            samples: np.ndarray = recording.load_audio(channels=0)[0]
            if not samples.any():
                raise ValueError("silence")
        return samples

    def draw_segment(self, count: int, random: np.random.Generator) -> np.ndarray:
        """`count` samples from a random place on, without silence, repeated if there are fewer.

        Raises UserError if the recording can't be read or is silent.
        """
        recording = self._recordings[int(random.integers(len(self)))]
        window = min(max(count, round(WINDOW_SECONDS * self.rate)), recording.num_samples)
        first = int(random.integers(recording.num_samples - window + 1))
        with self._usable(recording.sources[0].source):
            sound = self._read_sound(recording, first, window)
        return stretch(sound, count, random)

    def _read_sound(self, recording: Recording, first: int, window: int) -> np.ndarray:
        """Read the sound (sample,) of the first window that has any, from `first` on and then from the start.

        If all windows are quieter than SILENT_PEAK, the loudest is used. Raises ValueError if that is silent.
        """
        last, loudest, peak = recording.num_samples - window, np.zeros(0), 0.0
        for start in (*range(first, last, window), last, *range(0, first, window)):
            read = recording.load_audio(channels=0, offset=start / self.rate, duration=window / self.rate)[0]
            sound = without_silence(read, self.rate)
            if (found := float(np.abs(sound).max())) > peak:
                loudest, peak = sound, found
            if peak > SILENT_PEAK:
                break
        if not peak:
            raise ValueError("silence")
        return loudest

    @contextlib.contextmanager
    def _usable(self, file: str) -> Iterator[None]:
        """Turn any error into a UserError: lhotse's readers raise various types."""
        try:
            yield
        except Exception as error:
            reason = (str(error).strip() or "unreadable").splitlines()[0]
            found, todo = f"{self.setting}: can't use {file}: {reason}", "fix or remove that file"
            raise UserError(found, "audio with sound in it", file, todo) from None


def stretch(samples: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` samples of (sample,) from a random place on, repeated if there are fewer."""
    first = int(random.integers(len(samples)))
    return np.resize(np.roll(samples, -first), count)

"""Recorded noises and room responses, and what they do to speech; lhotse reads, mixes and convolves them."""

from pathlib import Path
from typing import List

import numpy as np
from lhotse import Recording
from lhotse.audio.mixer import AudioMixer
from lhotse.augmentation import ReverbWithImpulseResponse

from asrkit.errors import UserError
from asrkit.pipeline.inputs import walk

SUFFIXES = (".wav", ".flac")


def list_sounds(directory: Path, rate: int, setting: str) -> List[Recording]:
    """The WAV and FLAC files below a folder, in order of name; headers are read now, samples when used.

    Sound of another rate will be resampled to `rate` Hz; of several channels the first is used. Raises
    UserError, naming `setting`, when there is none or one can't be read.
    """
    files = [file.path for file in walk(directory, "")] if directory.is_dir() else []
    sounds = sorted(file for file in files if file.lower().endswith(SUFFIXES))
    if not sounds:
        found = "no WAV or FLAC file there" if directory.is_dir() else "no such folder"
        raise UserError(
            f"{setting}: {found}",
            expected="a folder with WAV or FLAC files in it, or in folders below it",
            where=str(directory),
            todo=f"correct {setting}, or leave it out",
        )
    return [_open(Path(file), rate, setting) for file in sounds]


def _open(file: Path, rate: int, setting: str) -> Recording:
    try:
        recording = Recording.from_file(file)
        if not recording.num_samples:
            raise ValueError("no samples")
    except Exception as error:  # lhotse's readers raise what they like
        raise _unusable(file, str(error), setting) from None
    return recording.resample(rate)


def _unusable(file: object, error: str, setting: str) -> UserError:
    return UserError(
        f"{setting}: can't use {file}: {error.strip().splitlines()[0] if error.strip() else 'unreadable'}",
        expected="WAV or FLAC with sound in it",
        where=str(file),
        todo="fix or remove that file",
    )


def add_noise(
    speech: np.ndarray, noise: Recording, decibels: float, random: np.random.Generator
) -> np.ndarray:
    """Speech, (samples,), with a random part of a noise, its energy `decibels` below that of the speech.

    A noise that is shorter than the speech is repeated.
    """
    rate = noise.sampling_rate
    first = int(random.integers(max(1, noise.num_samples - len(speech) + 1)))
    seconds = min(len(speech), noise.num_samples) / rate
    try:
        heard = noise.load_audio(channels=0, offset=first / rate, duration=seconds)[0]
    except Exception as error:
        raise _unusable(noise.sources[0].source, str(error), "train.noise.directory") from None
    mixer = AudioMixer(speech[None], rate)
    mixer.add_to_mix(np.resize(heard, len(speech))[None], snr=decibels)
    mixed: np.ndarray = mixer.mixed_audio[0]
    return mixed


def reverberate(speech: np.ndarray, room: Recording) -> np.ndarray:
    """Speech, (samples,), as heard in a room: as long, as loud, and in step with the speech.

    What comes before the response's largest sample is cut off, as in Kaldi's wav-reverberate.
    """
    try:
        heard: np.ndarray = ReverbWithImpulseResponse(rir=room)(speech[None], room.sampling_rate)[0]
        if not heard.any():
            raise ValueError("silence")
    except Exception as error:
        raise _unusable(room.sources[0].source, str(error), "train.rooms.directory") from None
    return heard

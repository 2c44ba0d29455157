"""Fixed, seeded conditions under which a model's robustness is measured: noise, rooms, channels, levels.

Each condition changes the samples of an utterance; all random values come from (seed, condition, utterance).
"""

import dataclasses
import io
import zlib
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

import numpy as np
import soundfile

from asrkit.errors import UserError
from asrkit.pipeline.inputs import walk
from asrkit.signal.audio import resample
from asrkit.signal.augmentation import AUDIO_SUFFIXES
from asrkit.signal.level import FRAME_SECONDS, LOUD_PERCENTILE, SILENCE_DECIBELS

SNRS = (20.0, 10.0, 5.0, 0.0)  # dB, of noise and babble
FILTERED_SNRS = (10.0, 0.0)  # dB, of noise at low and high frequencies
BABBLE_SPEAKERS = 6
CLIPPED = 0.1  # share of the samples
MP3_LEVEL = 0.95  # libsndfile's compression level of 16 kbit/s at 16 kHz
Degrade = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Condition:
    """A way to degrade speech."""

    kind: str  # "rain", "rooms", ...: one line of the picture
    degrade: Degrade  # samples (sample,), their rate in Hz and random values to as many samples
    snr: Optional[float] = None  # dB

    @property
    def name(self) -> str:
        """Such as "rain 5 dB"."""
        return self.kind if self.snr is None else f"{self.kind} {self.snr:g} dB"

    def __call__(self, samples: np.ndarray, rate: int, seed: int, utterance: str) -> np.ndarray:
        """Degraded samples (sample,), float32; the same for the same seed and utterance."""
        key = [seed, zlib.crc32(self.name.encode()), zlib.crc32(utterance.encode())]
        return self.degrade(samples, rate, np.random.default_rng(key)).astype(np.float32)


def make_conditions(
    noise: Optional[Path] = None, rooms: Optional[Path] = None, speech: Sequence[Path] = ()
) -> List[Condition]:
    """All conditions, undegraded speech first.

    `noise`: a folder of noise, whose subfolders are kinds; `rooms`: of room impulse responses; `speech`:
    files of several speakers, for babble. Without one of them its conditions are left out. Raises UserError
    for a folder without audio.
    """
    conditions = [Condition("clean", lambda samples, rate, random: samples)]
    noises: Dict[str, Degrade] = {}
    for file in _files(noise, "--noise"):
        kind = file.parent.name if noise is not None and file.parent != noise else file.stem
        noises.setdefault(kind, _Recorded([]))
        noises[kind].files.append(file)  # type: ignore[attr-defined]
    if speech:
        noises["babble"] = _Babble(list(speech))
    for kind, sound in noises.items():
        conditions += [Condition(kind, _Mixed(sound, snr), snr) for snr in SNRS]
    for kind, sound in (
        ("rumble", _rumble),
        ("50 Hz hum", _Hum(50)),
        ("60 Hz hum", _Hum(60)),
        ("hiss", _hiss),
    ):
        conditions += [Condition(kind, _Mixed(sound, snr), snr) for snr in FILTERED_SNRS]
    if rooms is not None:
        conditions.append(Condition("rooms", _Rooms(_files(rooms, "--rooms"))))
    conditions += [
        Condition("telephone", _telephone),
        Condition("MP3 at 16 kbit/s", _mp3),
        Condition("clipping", _clip),
        Condition("level -20 dB", lambda samples, rate, random: samples * 0.1),
        Condition("speed 0.8", lambda samples, rate, random: resample(samples, round(rate * 0.8), rate)),
        Condition("speed 1.2", lambda samples, rate, random: resample(samples, round(rate * 1.2), rate)),
    ]
    return conditions


def _files(folder: Optional[Path], option: str) -> List[Path]:
    if folder is None:
        return []
    found = [Path(file.path) for file in walk(folder, "")] if folder.is_dir() else []
    files = sorted(file for file in found if file.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        expected = f"a folder that holds {', '.join(AUDIO_SUFFIXES)} files, directly or in subfolders"
        raise UserError("no audio there", expected, f"{option} {folder}", "correct it, or leave it out")
    return files


def _read(file: Path, rate: int) -> np.ndarray:
    samples, own = soundfile.read(file, dtype="float32", always_2d=True)
    mono: np.ndarray = np.ascontiguousarray(samples[:, 0])
    return resample(mono, own, rate)


def _loud(samples: np.ndarray, rate: int) -> np.ndarray:
    """The samples without silent frames: recordings may be padded."""
    length = round(FRAME_SECONDS * rate)
    frames = samples[: len(samples) // length * length].reshape(-1, length)
    energies = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-12)
    kept = (
        frames[energies > np.percentile(energies, LOUD_PERCENTILE) - SILENCE_DECIBELS]
        if len(frames)
        else frames
    )
    return kept.reshape(-1) if kept.size else samples


def _stretch(samples: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` samples from a random place on, repeated if there are fewer."""
    first = int(random.integers(len(samples)))
    return np.resize(np.roll(samples, -first), count)


@dataclasses.dataclass(frozen=True)
class _Mixed:
    """Speech with a sound at a signal-to-noise ratio, by energy over the whole utterance."""

    sound: Degrade
    snr: float

    def __call__(self, samples: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
        noise = self.sound(samples, rate, random)
        of_speech, of_noise = (float(np.square(each, dtype=np.float64).mean()) for each in (samples, noise))
        gain = np.sqrt(of_speech / max(of_noise, 1e-12) / 10 ** (self.snr / 10))
        return samples + gain * noise


@dataclasses.dataclass(frozen=True)
class _Recorded:
    """A random stretch of a random recording."""

    files: List[Path]

    def __call__(self, samples: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
        file = self.files[int(random.integers(len(self.files)))]
        return _stretch(_loud(_read(file, rate), rate), len(samples), random)


@dataclasses.dataclass(frozen=True)
class _Babble:
    """Several people who speak at once."""

    files: List[Path]

    def __call__(self, samples: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
        chosen = random.choice(len(self.files), size=min(BABBLE_SPEAKERS, len(self.files)), replace=False)
        voices = [_loud(_read(self.files[int(index)], rate), rate) for index in chosen]
        level = [voice / max(float(np.sqrt(np.square(voice).mean())), 1e-6) for voice in voices]
        return np.sum([_stretch(voice, len(samples), random) for voice in level], axis=0)


def _filtered(
    samples: np.ndarray, rate: int, random: np.random.Generator, kind: str, hertz: float
) -> np.ndarray:
    from scipy.signal import butter, sosfilt

    white = random.normal(size=len(samples))
    filtered: np.ndarray = sosfilt(butter(4, min(hertz, 0.45 * rate), kind, fs=rate, output="sos"), white)
    return filtered


def _rumble(samples: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    return _filtered(samples, rate, random, "lowpass", 100.0)


def _hiss(samples: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    return _filtered(samples, rate, random, "highpass", 4000.0)


@dataclasses.dataclass(frozen=True)
class _Hum:
    """Mains hum: a tone and harmonics, each weaker than the one before."""

    hertz: float

    def __call__(self, samples: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
        time = np.arange(len(samples)) / rate
        tones = [
            np.sin(2 * np.pi * (self.hertz * number * time + random.uniform())) / number
            for number in range(1, 9)
            if self.hertz * number < rate / 2
        ]
        return np.sum(tones, axis=0)


@dataclasses.dataclass(frozen=True)
class _Rooms:
    """Speech in a random room, same length and level, without the delay of the direct sound."""

    files: List[Path]

    def __call__(self, samples: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
        from scipy.signal import fftconvolve

        response = _read(self.files[int(random.integers(len(self.files)))], rate)
        response = response[int(np.abs(response).argmax()) :]
        wet = fftconvolve(samples, response)[: len(samples)]
        energies = [float(np.square(each, dtype=np.float64).mean()) for each in (samples, wet)]
        return wet * np.sqrt(energies[0] / max(energies[1], 1e-12))


def _telephone(samples: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    """300 to 3400 Hz, at 8 kHz."""
    from scipy.signal import butter, sosfilt

    band = butter(4, (300.0, min(3400.0, 0.45 * rate)), "bandpass", fs=rate, output="sos")
    narrow = resample(sosfilt(band, samples).astype(np.float32), rate, 8000)
    return resample(narrow, 8000, rate)[: len(samples)]


def _mp3(samples: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    stream = io.BytesIO()
    options = {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": MP3_LEVEL}
    soundfile.write(stream, samples.clip(-1, 1), rate, **options)
    stream.seek(0)
    decoded: np.ndarray = soundfile.read(stream, dtype="float32")[0]
    return decoded[: len(samples)]


def _clip(samples: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    limit = float(np.quantile(np.abs(samples), 1 - CLIPPED))
    return samples.clip(-limit, limit)

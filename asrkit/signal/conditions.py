"""Fixed, seeded conditions under which a model's robustness is measured: noise, rooms, channels, levels.

A condition is one of the transforms of training, with fixed settings. All random values come from (seed,
condition, utterance).
"""

import dataclasses
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from asrkit.config.recipe import (
    BabbleConfig,
    BandPassConfig,
    ClippingConfig,
    CodecConfig,
    HissConfig,
    HumConfig,
    NoiseConfig,
    ReverberationConfig,
    RumbleConfig,
)
from asrkit.signal.audio import resample
from asrkit.signal.degradation import NARROWBAND, WAVEFORM, Speech, codec_rate
from asrkit.signal.recordings import Recordings, find_recordings

SNRS = (20.0, 10.0, 5.0, 0.0)  # dB, of noise and babble
FILTERED_SNRS = (10.0, 0.0)  # dB, of noise at low and high frequencies
RT60 = (0.3, 1.0, 2.0)  # seconds, of synthetic rooms
VOICES = 6  # of babble
CLIPPED = 0.1  # share of the samples
MP3_LEVEL, MP3_NARROWBAND_LEVEL = 0.95, 0.9  # libsndfile's compression levels of 16 kbit/s at 16 and 8 kHz
Degrade = Callable[[np.ndarray, np.random.Generator, str], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Condition:
    """A way to degrade speech."""

    kind: str  # "rain", "rooms", ...: one line of the picture
    transforms: Sequence[Degrade]  # samples (sample,), random values and the utterance's id to samples
    snr: Optional[float] = None  # dB

    @property
    def name(self) -> str:
        """Such as "rain 5 dB"."""
        return self.kind if self.snr is None else f"{self.kind} {self.snr:g} dB"

    def __call__(self, samples: np.ndarray, seed: int, utterance: str) -> np.ndarray:
        """Degraded samples (sample,), float32; the same for the same seed and utterance."""
        key = [seed, zlib.crc32(self.name.encode()), zlib.crc32(utterance.encode())]
        random = np.random.default_rng(key)
        for transform in self.transforms:
            samples = transform(samples, random, utterance)
        return samples.astype(np.float32)


# Conditions that don't come from a user's folder of noise
BUILT_IN = ("clean", "babble", "rumble", "50 Hz hum", "60 Hz hum", "hiss", "rooms", "telephone", "clipping")


def make_conditions(
    rate: int, noise: Optional[Path] = None, rooms: Optional[Path] = None, speech: Optional[Speech] = None
) -> List[Condition]:
    """All conditions for speech of `rate` Hz, undegraded speech first.

    `noise`: a folder of noise, whose subfolders are kinds; `rooms`: of room impulse responses; `speech`:
    for babble. Without one of them its conditions are left out. Raises UserError for a folder without audio.
    """

    def made(settings: Any, recordings: Optional[Recordings] = None) -> Degrade:
        return WAVEFORM[type(settings)](settings, rate, recordings, speech)

    def by_snr(kind: str, snrs: Sequence[float], config: type, *recordings: Recordings, **fixed: Any) -> None:
        for snr in snrs:
            transform = made(config(snr=(snr, snr), **fixed), *recordings)
            conditions.append(Condition(kind, [transform], snr))

    conditions = [Condition("clean", [])]
    for kind, files in _kinds_of(noise).items():
        by_snr(kind, SNRS, NoiseConfig, Recordings(files, rate, "--noise"), directory=str(noise))
    if speech is not None and len(speech.ids) > 1:
        by_snr("babble", SNRS, BabbleConfig, voices=(VOICES, VOICES))
    by_snr("rumble", FILTERED_SNRS, RumbleConfig, hertz=(100.0, 100.0))
    for hertz in (50.0, 60.0):
        by_snr(f"{hertz:g} Hz hum", FILTERED_SNRS, HumConfig, hertz=(hertz, hertz))
    by_snr("hiss", FILTERED_SNRS, HissConfig, hertz=(4000.0, 4000.0))
    if rooms is not None:
        recorded = Recordings(find_recordings(rooms, "--rooms"), rate, "--rooms")
        conditions.append(Condition("rooms", [made(ReverberationConfig(), recorded)]))
    for rt60 in RT60:
        settings = ReverberationConfig(rt60=(rt60, rt60), direct_ratio=(0.0, 0.0))
        conditions.append(Condition(f"RT60 {rt60:g} s", [made(settings)]))
    telephone = BandPassConfig(low_hertz=(300.0, 300.0), high_hertz=(3400.0, 3400.0))
    level = MP3_LEVEL if codec_rate("mp3", rate) > NARROWBAND else MP3_NARROWBAND_LEVEL
    mp3 = CodecConfig(codecs=("mp3",), compression=(level, level))
    return [
        *conditions,
        Condition("telephone", [made(telephone), made(CodecConfig(codecs=("mulaw",)))]),
        Condition("MP3 at 16 kbit/s", [made(mp3)]),
        Condition("clipping", [made(ClippingConfig(share=(CLIPPED, CLIPPED)))]),
        Condition("level -20 dB", [lambda samples, random, id: samples * 0.1]),
        Condition("speed 0.8", [lambda samples, random, id: resample(samples, round(rate * 0.8), rate)]),
        Condition("speed 1.2", [lambda samples, random, id: resample(samples, round(rate * 1.2), rate)]),
    ]


def _kinds_of(noise: Optional[Path]) -> Dict[str, List[Path]]:
    """The files of each kind of noise: of a subfolder, or one file."""
    kinds: Dict[str, List[Path]] = {}
    for file in find_recordings(noise, "--noise") if noise is not None else []:
        kind = file.stem if file.parent == noise else file.relative_to(str(noise)).parts[0]
        kinds.setdefault(f"{kind} (noise)" if kind in BUILT_IN else kind, []).append(file)
    return kinds

"""Degraded speech: rooms, noise, channels. One class per kind, found by the class of its settings.

Training draws degradations at random, `augment` in recipe.yaml; asrkit robustness measures each with fixed
settings. To add one, write its settings in asrkit/config/recipe.py, and its class here with an entry in
WAVEFORM. All random numbers come from the generator that a transform is given.
"""

import dataclasses
import io
import math
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Type

import numpy as np
import soundfile
import torch
import torch.nn.functional as F

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
    kind_of,
)
from asrkit.signal.audio import resample
from asrkit.signal.level import is_digital_silence, without_silence
from asrkit.signal.recordings import Recordings, stretch

SHORTEST_TRANSFORM = 1 << 14  # samples; of 2^13 to 2^16 the fastest for responses of half a second
SLOPE = 8  # of band limits: 24 dB per octave, as of a Butterworth filter of order 4
HARMONICS = 8  # of mains hum
NARROWBAND = 8000  # Hz, of GSM and mu-law
HIGHEST_MP3_LEVEL = 0.9999  # libsndfile refuses 1; this gives the lowest bit rate, too
MP3_DELAY = 1105  # samples by which LAME's encoder and a decoder are late
FORMATS = {  # libsndfile's
    "mp3": {"format": "MP3", "bitrate_mode": "CONSTANT"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "gsm": {"format": "WAV", "subtype": "GSM610"},
    "mulaw": {"format": "WAV", "subtype": "ULAW"},
}


class Speech(NamedTuple):
    """Utterances that are mixed to babble."""

    ids: Sequence[str]
    speaker: Callable[[str], Optional[str]]  # of an utterance; None: not known
    read: Callable[[str], np.ndarray]  # its samples (sample,)


@dataclasses.dataclass(frozen=True)
class WaveformTransform:
    """A transform of speech, of settings with ranges that values are drawn from."""

    settings: Any
    rate: int  # Hz
    recordings: Optional[Recordings] = None  # of settings.directory
    speech: Optional[Speech] = None  # for babble

    def __call__(self, samples: np.ndarray, random: np.random.Generator, id: str) -> np.ndarray:
        """As many transformed samples (sample,) of an utterance; not in place.

        Raises UserError if a recording can't be read.
        """
        raise NotImplementedError

    def __str__(self) -> str:
        source = "" if self.recordings is None else f" from {len(self.recordings)} recordings"
        return f"{kind_of(self.settings)}{source} in {self.settings.probability:.0%} of utterances"


class Reverberation(WaveformTransform):
    """Reverberated speech, same length, level and alignment.

    Samples before the peak of the RIR are dropped, as in Kaldi's wav-reverberate.
    """

    def __call__(self, samples: np.ndarray, random: np.random.Generator, id: str) -> np.ndarray:
        """Speech convolved with a recorded or a synthetic RIR."""
        if self.recordings is not None:
            response = self.recordings.draw(random)
        else:
            rt60, ratio = (random.uniform(*each) for each in (self.settings.rt60, self.settings.direct_ratio))
            response = synthesise_rir(rt60, ratio, self.rate, random)
        # The direct sound is the tap of the largest magnitude. Kaldi takes the largest tap, which is an echo
        # if the response is inverted
        peak = int(np.argmax(np.abs(response)))
        convolved = convolve(samples, response)[peak:][: len(samples)]
        power = max(float(np.square(convolved).sum()), 1e-12)
        reverberated: np.ndarray = convolved * np.float32(np.sqrt(np.square(samples).sum() / power))
        return reverberated


def synthesise_rir(rt60: float, direct_ratio: float, rate: int, random: np.random.Generator) -> np.ndarray:
    """A direct sound, then noise that decays by 60 dB in `rt60` seconds: float32 (tap,).

    `direct_ratio`: energy of the direct sound relative to all of the noise, dB. Source: Polack 1988.
    """
    time = np.arange(1, round(rt60 * rate) + 1) / rate
    noise = random.normal(size=len(time)) * 10 ** (-3 * time / rt60)
    noise *= 10 ** (-direct_ratio / 20) / np.sqrt(np.square(noise).sum())
    # A tap of the noise must not be the peak, which is where the speech begins
    return np.concatenate([[1.0], noise.clip(-1, 1)]).astype(np.float32)


def convolve(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Samples (sample,) convolved with a response (tap,), of sample + 2 * tap values or more.

    Overlap-add with transforms of one size: the library needs longer to prepare one of a new size, as each
    utterance would have, than to compute it.
    """
    size = max(SHORTEST_TRANSFORM, 2 ** math.ceil(math.log2(2 * len(response))))
    step = size - len(response) + 1
    count = math.ceil(len(samples) / step)
    blocks = F.pad(torch.from_numpy(samples), (0, count * step - len(samples))).view(count, step)
    spectrum = torch.fft.rfft(torch.from_numpy(response), size)
    convolved = torch.fft.irfft(torch.fft.rfft(blocks, size) * spectrum, size)  # (block, size)
    total = torch.zeros(count * step + size)
    for index, block in enumerate(convolved):
        total[index * step : index * step + size] += block
    return total.numpy()


class Added(WaveformTransform):
    """Speech with a sound at a signal-to-noise ratio, by energy over the whole utterance."""

    def __call__(self, samples: np.ndarray, random: np.random.Generator, id: str) -> np.ndarray:
        """Speech with the sound of `make`."""
        snr = random.uniform(*self.settings.snr)
        sound = self.make(len(samples), random, id)
        of_speech, of_sound = (float(np.square(each, dtype=np.float64).mean()) for each in (samples, sound))
        gain = np.sqrt(of_speech / max(of_sound, 1e-12) / 10 ** (snr / 10))
        return (samples + gain * sound).astype(np.float32)

    def make(self, count: int, random: np.random.Generator, id: str) -> np.ndarray:
        """The sound (sample,), of any level."""
        raise NotImplementedError


class Noise(Added):
    """A segment of a recording."""

    def make(self, count: int, random: np.random.Generator, id: str) -> np.ndarray:
        """Segments without silence."""
        assert self.recordings is not None
        return self.recordings.draw_segment(count, random)


class Babble(Added):
    """Several people who speak at once, equally loud."""

    def make(self, count: int, random: np.random.Generator, id: str) -> np.ndarray:
        """Utterances of other speakers than that of `id`; if there are none, its speaker's others."""
        assert self.speech is not None
        low, high = self.settings.voices
        wanted, own = int(random.integers(low, high + 1)), self.speech.speaker(id)
        drawn = [str(self.speech.ids[each]) for each in random.integers(len(self.speech.ids), size=4 * high)]
        others = [each for each in drawn if own is None or self.speech.speaker(each) != own]
        chosen = list(dict.fromkeys(each for each in others or drawn if each != id))[:wanted]
        total = np.zeros(count)
        for voice in chosen:
            loud = without_silence(self.speech.read(voice), self.rate)
            total += stretch(loud / max(float(np.sqrt(np.square(loud).mean())), 1e-6), count, random)
        return total


class Rumble(Added):
    """Noise at low frequencies."""

    def make(self, count: int, random: np.random.Generator, id: str) -> np.ndarray:
        """White noise through a low pass."""
        return limit_band(random.normal(size=count), self.rate, high=random.uniform(*self.settings.hertz))


class Hum(Added):
    """Mains hum: a tone and harmonics, each weaker than the one before."""

    def make(self, count: int, random: np.random.Generator, id: str) -> np.ndarray:
        """Tones of random phase."""
        lowest, time = random.uniform(*self.settings.hertz), np.arange(count) / self.rate
        tones = [
            np.sin(2 * np.pi * (lowest * number * time + random.uniform())) / number
            for number in range(1, HARMONICS + 1)
            if lowest * number < self.rate / 2
        ]
        return np.sum(tones, axis=0)


class Hiss(Added):
    """Noise at high frequencies."""

    def make(self, count: int, random: np.random.Generator, id: str) -> np.ndarray:
        """White noise through a high pass."""
        lowest = min(random.uniform(*self.settings.hertz), 0.45 * self.rate)
        return limit_band(random.normal(size=count), self.rate, low=lowest)


def limit_band(samples: np.ndarray, rate: int, low: float = 0.0, high: float = math.inf) -> np.ndarray:
    """Samples (sample,) between `low` and `high` Hz, where they are 3 dB weaker; without delay."""
    hertz = np.fft.rfftfreq(len(samples), 1 / rate)
    above = (hertz / low) ** SLOPE if low else np.full_like(hertz, np.inf)
    power = 1 / (1 + 1 / np.maximum(above, 1e-12)) / (1 + (hertz / high) ** SLOPE)
    return np.fft.irfft(np.fft.rfft(samples) * np.sqrt(power), len(samples))


class BandPass(WaveformTransform):
    """Speech through a narrow channel."""

    def __call__(self, samples: np.ndarray, random: np.random.Generator, id: str) -> np.ndarray:
        """Speech between two frequencies."""
        low, high = (random.uniform(*each) for each in (self.settings.low_hertz, self.settings.high_hertz))
        return limit_band(samples, self.rate, low, high).astype(np.float32)


class Clipping(WaveformTransform):
    """The largest samples cut off."""

    def __call__(self, samples: np.ndarray, random: np.random.Generator, id: str) -> np.ndarray:
        """Clip a random share of the samples, not counting digital silence."""
        loudness, share = np.abs(samples), random.uniform(*self.settings.share)
        heard = loudness[~is_digital_silence(samples, self.rate)]
        limit = float(np.quantile(heard, 1 - share)) if len(heard) else 0.0
        return samples.clip(-limit, limit) if limit else samples.copy()


def codec_rate(codec: str, rate: int) -> int:
    """Rate in Hz at which a codec gets audio of `rate` Hz."""
    return NARROWBAND if codec in ("gsm", "mulaw") or rate < 16000 else 16000


class ThroughCodec(WaveformTransform):
    """Speech encoded and decoded."""

    def __call__(self, samples: np.ndarray, random: np.random.Generator, id: str) -> np.ndarray:
        """As many samples, in step with those of the speech."""
        codec = self.settings.codecs[int(random.integers(len(self.settings.codecs)))]
        level, options = random.uniform(*self.settings.compression), dict(FORMATS[codec])
        if codec in ("mp3", "opus"):
            options["compression_level"] = min(level, HIGHEST_MP3_LEVEL) if codec == "mp3" else level
        rate = codec_rate(codec, self.rate)
        stream, encoded = io.BytesIO(), resample(samples, self.rate, rate)
        soundfile.write(stream, encoded.clip(-1, 1), rate, **options)
        stream.seek(0)
        decoded = soundfile.read(stream, dtype="float32")[0]
        # At high rates libsndfile writes the delay of MP3 into the file, and the decoder removes it
        delay = MP3_DELAY if codec == "mp3" and len(decoded) > len(encoded) else 0
        restored = resample(decoded[delay:], rate, self.rate)[: len(samples)]
        return np.pad(restored, (0, len(samples) - len(restored)))


# Transforms by the class of their settings, in the order of application: a room, what sounds in it, a channel
WAVEFORM: Dict[type, Type[WaveformTransform]] = {
    ReverberationConfig: Reverberation,
    BabbleConfig: Babble,
    NoiseConfig: Noise,
    RumbleConfig: Rumble,
    HumConfig: Hum,
    HissConfig: Hiss,
    BandPassConfig: BandPass,
    ClippingConfig: Clipping,
    CodecConfig: ThroughCodec,
}
